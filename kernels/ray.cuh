// Where diffracted rays meet a panel; the twin of cubragg/engine/analytic/spot_geometry.py. specs/analytic.md, section 2
#ifndef CUBRAGG_RAY_CUH
#define CUBRAGG_RAY_CUH

#include "portable.cuh"
#include "lanes.cuh"
#include "vectors.cuh"
#include "node.cuh"

// Steps of Newton's method, and the least cosine of a ray with the normal.
#define NEWTON_STEPS 8
#define GRAZING 1e-3

struct Ray {
    LaneMask meets;              // other numbers are arbitrary where the ray does not meet the panel
    Lanes fast, slow, distance;  // [pixel], [m]
    Vec fast_step, slow_step;    // from pixel to pixel [m]
    Vec fast_of, slow_of;        // changes of fast and slow [pixel] per change of the direction
};

// Complete a ray to the plane with its normal and its steps, whose duals are given.
DEVICE void complete(Ray &ray, const Vec &normal, const Vec &fast_dual, const Vec &slow_dual, const Vec &k)
{
    // A change of the direction moves the ray across k and then along it back into the plane.
    const Lanes inverse = Lanes(1.0) / choose(ray.meets, dot(k, normal), 1.0);
    ray.fast_of = ray.distance * (fast_dual - (dot(fast_dual, k) * inverse) * normal);
    ray.slow_of = ray.distance * (slow_dual - (dot(slow_dual, k) * inverse) * normal);
}

DEVICE Ray flat_ray(const ListParams &p, const Vec &k)
{
    Ray ray;
    const Vec normal = vec(p.normal), corner = vec(p.corner), fast_dual = vec(p.fast_dual), slow_dual = vec(p.slow_dual);
    const Lanes cosine = dot(k, normal);
    ray.meets = cosine > GRAZING;
    ray.distance = dot(corner, normal) / choose(ray.meets, cosine, 1.0);
    const Vec place = ray.distance * k - corner;
    ray.fast = dot(place, fast_dual) - p.first_pixel[0];
    ray.slow = dot(place, slow_dual) - p.first_pixel[1];
    ray.fast_step = vec(p.fast_step);
    ray.slow_step = vec(p.slow_step);
    complete(ray, normal, fast_dual, slow_dual, k);
    ray.meets = ray.meets & (ray.distance > 0.0);
    return ray;
}

// The angle of (x, y) within 0.005 rad: where Newton's method begins.
DEVICE Lanes about_angle(Lanes y, Lanes x)
{
    const Lanes ax = fabs_(x), ay = fabs_(y);
    const LaneMask steep = ay > ax;
    const Lanes ratio = choose(steep, ax, ay) / larger_of(choose(steep, ay, ax), 1e-300);
    const Lanes octant = ratio * (Lanes(0.25 * PI) + Lanes(0.273) * (Lanes(1.0) - ratio));
    const Lanes quadrant = choose(steep, Lanes(0.5 * PI) - octant, octant);
    const Lanes half = choose(x < 0.0, Lanes(PI) - quadrant, quadrant);
    return choose(y < 0.0, -half, half);
}

// A point of a curved detector, of unit radius, and its changes with both angles.
struct OnCylinder { Vec point, by_a, by_b; };

DEVICE OnCylinder on_cylinder(const ListParams &p, Lanes a, Lanes b)
{
    const Vec fast_axis = vec(p.fast_axis), slow_axis = vec(p.slow_axis);
    Lanes sine, cosine;
    sine_cosine_of(a, sine, cosine);
    const Vec meridian = turned(slow_axis, sine, cosine, vec(p.beam));
    sine_cosine_of(b, sine, cosine);
    OnCylinder result;
    result.point = turned(fast_axis, sine, cosine, meridian);
    result.by_a = turned(fast_axis, sine, cosine, cross(slow_axis, meridian));
    result.by_b = cross(fast_axis, result.point);
    return result;
}

// Pixels are at r R(fast, b) R(slow, a) i, where r is the radius, i the beam, and a and b are proportional to y and z of
// flat pixels. The ray has the tangent plane where it meets the detector.
DEVICE Ray curved_ray(const ListParams &p, const Vec &k)
{
    Ray ray;
    const Vec centre = vec(p.centre), beam = vec(p.beam), fast_axis = vec(p.fast_axis), slow_axis = vec(p.slow_axis);
    const Lanes along = dot(k, centre), radius = p.radius;
    ray.distance = sqrt_(along * along + radius * radius - dot(centre, centre)) - along;
    const Vec place = (Lanes(1.0) / radius) * (centre + ray.distance * k);
    // Right for axes across the beam; Newton's method for others.
    const Lanes sine = dot(place, cross(slow_axis, beam)), rest = Lanes(1.0) - sine * sine;
    Lanes a = about_angle(sine, sqrt_(larger_of(rest, 0.0)));
    Lanes b = about_angle(dot(place, cross(fast_axis, beam)), dot(place, beam));
    OnCylinder on;
    Vec missed;
    Lanes determinant;
    for (int step = 0; step < NEWTON_STEPS; ++step) {
        on = on_cylinder(p, a, b);
        missed = place - on.point;
        const Lanes aa = dot(on.by_a, on.by_a), ab = dot(on.by_a, on.by_b), bb = dot(on.by_b, on.by_b);
        const Lanes to_a = dot(on.by_a, missed), to_b = dot(on.by_b, missed);
        determinant = larger_of(aa * bb - ab * ab, 1e-12);
        a += (bb * to_a - ab * to_b) / determinant;
        b += (aa * to_b - ab * to_a) / determinant;
    }
    ray.meets = (dot(missed, missed) < 1e-18) & (determinant > GRAZING);
    const Lanes from_corner_a = a - p.corner_angles[0], from_corner_b = b - p.corner_angles[1];
    const double (&to)[2][2] = p.pixels_of_angles, (&per)[2][2] = p.angles_of_pixels;
    ray.fast = Lanes(to[0][0]) * from_corner_a + Lanes(to[0][1]) * from_corner_b - p.first_pixel[0];
    ray.slow = Lanes(to[1][0]) * from_corner_a + Lanes(to[1][1]) * from_corner_b - p.first_pixel[1];
    const Lanes one = 1.0, zero = 0.0;
    ray.fast_step = choose(ray.meets, radius * (Lanes(per[0][0]) * on.by_a + Lanes(per[1][0]) * on.by_b), {zero, one, zero});
    ray.slow_step = choose(ray.meets, radius * (Lanes(per[0][1]) * on.by_a + Lanes(per[1][1]) * on.by_b), {zero, zero, one});
    const Vec normal = choose(ray.meets, place, {one, zero, zero});
    const Vec across = cross(ray.fast_step, ray.slow_step);
    const Lanes inverse = one / dot(across, normal);
    complete(ray, normal, inverse * cross(ray.slow_step, normal), inverse * cross(normal, ray.fast_step), k);
    return ray;
}

DEVICE Ray ray_of(const ListParams &p, const Vec &k) { return p.curved ? curved_ray(p, k) : flat_ray(p, k); }

#endif
