// Second-order terms of spots: what the linear model of their distributions leaves out; the twin of
// cubragg/engine/analytic/second_order.py, which has the formulas. specs/analytic.md, section 3
#ifndef CUBRAGG_SECOND_ORDER_CUH
#define CUBRAGG_SECOND_ORDER_CUH

#include "portable.cuh"
#include "lanes.cuh"
#include "vectors.cuh"
#include "node.cuh"
#include "spot.cuh"

// Orthonormal axes with the path last, and the covariance factored in them.
struct Frame {
    Vec standard[3];          // rows u with W = sum u u^T
    Lanes determinant, pace;  // root of the determinant of the covariance; standardized deviations per angle
};

// Least speed of a node per |G|; slower ones (on the spindle) count as moving this fast across it.
#define LEAST_SPEED 1e-9

DEVICE Frame frame_of(const Symmetric &covariance, const Vec &velocity, Lanes length)
{
    const Lanes speed = sqrt_(dot(velocity, velocity)), least = LEAST_SPEED * length, one = 1.0, zero = 0.0;
    const Lanes used = larger_of(speed, least);
    const Vec along_x = {one, zero, zero};
    const Vec direction = choose(speed < least, along_x, (one / used) * velocity);
    // The axis to which the direction is least inclined.
    const Lanes x = fabs_(direction.x), y = fabs_(direction.y), z = fabs_(direction.z);
    const LaneMask is_x = (x <= y) & (x <= z), is_y = (y <= z) & !is_x;
    const Vec helper = {choose(is_x, one, zero), choose(is_y, one, zero), choose(is_x | is_y, zero, one)};
    const Vec across = cross(direction, helper), first = (one / sqrt_(dot(across, across))) * across;
    const Vec second = cross(direction, first);
    // Cholesky's factor in axes with the path last: the first two rows of its inverse are those of the distribution
    // projected along the path, so that nothing cancels.
    const Symmetric c = congruent(covariance, first, second, direction);
    const Lanes d1 = sqrt_(c.xx), l21 = c.xy / d1, l31 = c.xz / d1, d2 = sqrt_(c.yy - l21 * l21);
    const Lanes l32 = (c.yz - l31 * l21) / d2, d3 = sqrt_(c.zz - l31 * l31 - l32 * l32);
    const Lanes d12 = d1 * d2, d123 = d12 * d3;
    Frame frame;
    frame.standard[0] = (one / d1) * first;
    frame.standard[1] = (-l21 / d12) * first + (one / d2) * second;
    frame.standard[2] = ((l21 * l32 - l31 * d2) / d123) * first + (-l32 / (d2 * d3)) * second + (one / d3) * direction;
    frame.determinant = d123;
    frame.pace = used / d3;
    return frame;
}

// Mean quadratic form of y1, y2, z and p: coefficients of products of y1, y2 and the deviation of y3 from p (the pairs 11,
// 12, 13, 22, 23, 33), of their products with p, of p^2, the constant, and an addition to the coefficient of V.
template <typename T> struct Form { T pairs[6], moving[3], path, constant, variance; };

// The place of a pair of axes in Form::pairs, first <= second.
DEVICE constexpr int pair(int first, int second) { return first == 0 ? second : first + second + 1; }

// Coefficients of the MONOMIALS, of a component of a form.
DEVICE void set_monomials(Lanes (&c)[MONOMIALS], const Form<Lanes> &form)
{
    const Lanes *B = form.pairs, *L = form.moving, two = 2.0;
    c[0] = B[0], c[1] = two * B[1], c[2] = B[3], c[3] = two * B[2], c[4] = two * B[4], c[5] = B[5];
    c[6] = L[0], c[7] = L[1], c[8] = L[2], c[9] = form.path;
    c[10] = B[5] - L[2] + form.path + form.variance, c[11] = form.constant;
}

DEVICE Form<Lanes> component(const Form<Vec> &form, const Vec &axis)
{
    Form<Lanes> result;
    UNROLL
    for (int i = 0; i < 6; ++i) result.pairs[i] = dot(axis, form.pairs[i]);
    UNROLL
    for (int i = 0; i < 3; ++i) result.moving[i] = dot(axis, form.moving[i]);
    result.path = dot(axis, form.path);
    result.constant = dot(axis, form.constant);
    result.variance = dot(axis, form.variance);
    return result;
}

// The linear model in standardized axes: conditional means of rotation and wavelength for each of them.
struct Linear {
    Vec U[3], w[3];
    Lanes x[3], pace;
    Vec spindle;     // 0 in a still
    Symmetric blur;  // of footprint and sub-pixels
};

// Add (w + p e) x ((w + p e) x G) / 2: T has its component along G, which shortens it, `form` the others.
DEVICE void add_rotations(Form<Vec> &form, Form<Lanes> &T, const Linear &model, const Node &node)
{
    const Vec &G = node.G, &e = model.spindle;
    const Symmetric &D = node.rotation;
    const Lanes square = dot(G, G), half = 0.5, per_pace = Lanes(1.0) / model.pace;
    const Vec radial = (Lanes(1.0) / sqrt_(square)) * G;
    Vec across[3];
    Lanes twist[3];
    Vec turned_G = D * G, rest_radial = D * radial;
    Lanes total = trace(D);
    UNROLL
    for (int a = 0; a < 3; ++a) {
        const Lanes along = dot(radial, model.w[a]);
        across[a] = model.w[a] - along * radial;
        twist[a] = dot(model.w[a], G);
        turned_G -= twist[a] * model.w[a];
        rest_radial -= along * model.w[a];
        total -= dot(model.w[a], model.w[a]);
    }
    const Vec e_across = e - dot(radial, e) * radial;
    const Lanes e_twist = dot(e, G), of_T = square * per_pace;
    UNROLL
    for (int a = 0; a < 3; ++a) {
        UNROLL
        for (int b = a; b < 3; ++b) {
            T.pairs[pair(a, b)] = dot(across[a], across[b]) * square;
            form.pairs[pair(a, b)] = Lanes(0.25) * (twist[b] * across[a] + twist[a] * across[b]);
        }
        T.moving[a] = Lanes(2.0) * dot(across[a], e_across) * of_T;
        form.moving[a] = (twist[a] * per_pace) * e_across;
    }
    T.path = of_T * per_pace * dot(e_across, e_across);
    T.constant = square * larger_of(total - dot(radial, rest_radial), 0.0);
    T.variance = 0.0;
    form.constant = half * (turned_G - dot(radial, turned_G) * radial);
    form.path = (half * e_twist * per_pace * per_pace) * e_across;
    // Mosaicity turns with the spindle: the transport of the density by its change with p is symmetric.
    UNROLL
    for (int a = 0; a < 3; ++a) {
        const Vec &u = model.U[a], v = cross(u, G);
        const Vec of_block = cross(e, node.block * u) - node.block * cross(e, u);
        const Vec of_rotation = cross(G, cross(e, D * v) - D * cross(e, v));
        form.moving[a] += (half * per_pace) * (of_block + of_rotation);
    }
}

// Add w x b, the turned deviation of the block, as the symmetric transport (w x b - S w x (S^-1 b)) / 2.
DEVICE void add_turned_block(Form<Vec> &form, const Linear &model, const Node &node)
{
    const Symmetric &S = node.block;
    Vec SU[3];
    UNROLL
    for (int a = 0; a < 3; ++a) SU[a] = S * model.U[a];
    UNROLL
    for (int a = 0; a < 3; ++a) {
        UNROLL
        for (int b = a; b < 3; ++b) {
            const Vec one = cross(model.w[a], SU[b]) - S * cross(model.w[a], model.U[b]);
            const Vec other = cross(model.w[b], SU[a]) - S * cross(model.w[b], model.U[a]);
            form.pairs[pair(a, b)] += Lanes(0.25) * (one + other);
        }
    }
    // Cov(w, S^-1 b), given delta, by columns: -sum w u^T.
    Vec c[3];
    c[0] = Lanes(-1.0) * (model.U[0].x * model.w[0] + model.U[1].x * model.w[1] + model.U[2].x * model.w[2]);
    c[1] = Lanes(-1.0) * (model.U[0].y * model.w[0] + model.U[1].y * model.w[1] + model.U[2].y * model.w[2]);
    c[2] = Lanes(-1.0) * (model.U[0].z * model.w[0] + model.U[1].z * model.w[1] + model.U[2].z * model.w[2]);
    const Vec rows[3] = {{S.xx, S.xy, S.xz}, {S.xy, S.yy, S.yz}, {S.xz, S.yz, S.zz}};
    // sum of e_k x c_k
    const Vec twice = {c[1].z - c[2].y, c[2].x - c[0].z, c[0].y - c[1].x};
    form.constant += Lanes(0.5) * (cross(c[0], rows[0]) + cross(c[1], rows[1]) + cross(c[2], rows[2]) + S * twice);
}

// Add s (w x G + p v), the rotated part of the strain.
DEVICE void add_strain(Form<Vec> &form, const Linear &model, const Node &node, Lanes variance)
{
    Lanes s[3];
    Vec moved[3];
    UNROLL
    for (int a = 0; a < 3; ++a) {
        s[a] = variance * dot(model.U[a], node.G);
        moved[a] = cross(model.w[a], node.G);
    }
    UNROLL
    for (int a = 0; a < 3; ++a) {
        UNROLL
        for (int b = a; b < 3; ++b) {
            form.pairs[pair(a, b)] += Lanes(0.5) * (s[b] * moved[a] + s[a] * moved[b]);
        }
        form.constant -= s[a] * moved[a];
        form.moving[a] += (s[a] / model.pace) * node.velocity;
    }
}

// Add -|di|^2 i / (2 lambda), and what remains of x (q - d) beyond the part that is evaluated for each sample.
DEVICE void add_beam(Form<Vec> &form, const ListParams &p, const Linear &model, const Node &node)
{
    const Lanes inverse = 1.0 / p.wavelength, variance = p.wavelength_variance;
    const Symmetric directions = (inverse * inverse) * symmetric(p.direction);
    const Vec with = inverse * vec(p.wavelength_direction), shortening = Lanes(-0.5 * p.wavelength) * vec(p.incident);
    Vec of_direction[3], d[3];
    Lanes total = trace(directions), rest = variance;
    UNROLL
    for (int a = 0; a < 3; ++a) of_direction[a] = directions * model.U[a] + dot(node.G, model.U[a]) * with;
    UNROLL
    for (int a = 0; a < 3; ++a) {
        total -= dot(of_direction[a], of_direction[a]);
        UNROLL
        for (int b = a; b < 3; ++b) form.pairs[pair(a, b)] += dot(of_direction[a], of_direction[b]) * shortening;
    }
    form.constant += total * shortening;
    if (!(p.wavelength_variance > 0.0)) return;
    UNROLL
    for (int a = 0; a < 3; ++a) {
        d[a] = of_direction[a] + model.blur * model.U[a];
        rest -= model.x[a] * model.x[a];
        form.constant += model.x[a] * d[a];
    }
    UNROLL
    for (int a = 0; a < 3; ++a) {
        UNROLL
        for (int b = a; b < 3; ++b) {
            form.pairs[pair(a, b)] -= Lanes(0.5) * (model.x[b] * d[a] + model.x[a] * d[b]);
        }
    }
    form.constant -= rest * node.G + with;
    form.variance -= (model.x[2] * model.x[2]) * node.G;
}

// Coefficients of the divergence of a displacement by its components.
DEVICE void set_divergence(Lanes (&d)[DIVERGENCE], const Lanes (&m)[3][MONOMIALS])
{
    const Lanes two = 2.0;
    const Lanes by_z[4] = {m[2][3], m[2][4], two * m[2][5], m[2][8]};
    const Lanes by_E[4] = {m[2][6], m[2][7], m[2][8], two * m[2][9]};
    const Lanes fixed[4] = {two * m[0][0] + m[1][1], m[0][1] + two * m[1][2], m[0][3] + m[1][4], m[0][6] + m[1][7]};
    UNROLL
    for (int i = 0; i < 4; ++i) {
        d[i] = fixed[i] + by_z[i];
        d[4 + i] = by_E[i] - by_z[i];
    }
    d[8] = m[2][10];
}

// Set the second-order terms of spots.
DEVICE void set_second_order(SpotNumbers<Lanes> &spot, const ListParams &p, const Node &node, const Frame &frame,
                             const Symmetric &blur)
{
    Linear model;
    model.pace = frame.pace;
    model.spindle = Lanes(p.moving ? 1.0 : 0.0) * vec(p.spindle);
    model.blur = blur;
    UNROLL
    for (int a = 0; a < 3; ++a) {
        model.U[a] = frame.standard[a];
        model.w[a] = node.rotation * cross(node.G, model.U[a]);
        model.x[a] = dot(model.U[a], node.mixed);
    }
    Form<Vec> form;
    Form<Lanes> T;
    const Lanes zero = 0.0;
    form.variance = {zero, zero, zero};
    add_rotations(form, T, model, node);
    add_turned_block(form, model, node);
    if (p.strain_variance > 0.0) add_strain(form, model, node, p.strain_variance);
    add_beam(form, p, model, node);
    Lanes rest[3][MONOMIALS];
    set_monomials(spot.sag, T);
    const Lanes per_sag = Lanes(0.25) / dot(node.G, node.G);
    UNROLL
    for (int i = 0; i < MONOMIALS; ++i) spot.sag[i] = spot.sag[i] * per_sag;
    UNROLL
    for (int a = 0; a < 3; ++a) {
        spot.wavelength[a] = model.x[a];
        spot.radial[a] = dot(model.U[a], node.G);
        set_monomials(spot.bend[a], component(form, model.U[a]));
        UNROLL
        for (int i = 0; i < MONOMIALS; ++i) rest[a][i] = spot.bend[a][i] - Lanes(2.0) * spot.radial[a] * spot.sag[i];
    }
    set_divergence(spot.divergence, rest);
}

#endif
