// Vectors of three and symmetric matrices of `Lanes`, with every operation written out: compilers keep the numbers in
// registers. (v.x, v.y, v.z) and (xx, xy, xz, yy, yz, zz).
#ifndef CUBRAGG_VECTORS_CUH
#define CUBRAGG_VECTORS_CUH

#include "portable.cuh"
#include "lanes.cuh"

struct Vec { Lanes x, y, z; };
struct Symmetric { Lanes xx, xy, xz, yy, yz, zz; };

DEVICE Vec vec(const double (&v)[3]) { return {v[0], v[1], v[2]}; }
DEVICE Symmetric symmetric(const double (&m)[3][3]) { return {m[0][0], m[0][1], m[0][2], m[1][1], m[1][2], m[2][2]}; }

DEVICE Vec operator+(const Vec &a, const Vec &b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
DEVICE Vec operator-(const Vec &a, const Vec &b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
DEVICE Vec operator*(Lanes factor, const Vec &v) { return {factor * v.x, factor * v.y, factor * v.z}; }
DEVICE Vec &operator+=(Vec &a, const Vec &b) { return a = a + b; }
DEVICE Vec &operator-=(Vec &a, const Vec &b) { return a = a - b; }
DEVICE Lanes dot(const Vec &a, const Vec &b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
DEVICE Vec cross(const Vec &a, const Vec &b)
{
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
DEVICE Vec choose(LaneMask mask, const Vec &a, const Vec &b)
{
    return {choose(mask, a.x, b.x), choose(mask, a.y, b.y), choose(mask, a.z, b.z)};
}

DEVICE Symmetric operator+(const Symmetric &a, const Symmetric &b)
{
    return {a.xx + b.xx, a.xy + b.xy, a.xz + b.xz, a.yy + b.yy, a.yz + b.yz, a.zz + b.zz};
}
DEVICE Symmetric operator*(Lanes factor, const Symmetric &m)
{
    return {factor * m.xx, factor * m.xy, factor * m.xz, factor * m.yy, factor * m.yz, factor * m.zz};
}
DEVICE Symmetric operator-(const Symmetric &a, const Symmetric &b) { return a + Lanes(-1.0) * b; }
DEVICE Vec operator*(const Symmetric &m, const Vec &v)
{
    return {m.xx * v.x + m.xy * v.y + m.xz * v.z, m.xy * v.x + m.yy * v.y + m.yz * v.z,
            m.xz * v.x + m.yz * v.y + m.zz * v.z};
}
DEVICE Lanes trace(const Symmetric &m) { return m.xx + m.yy + m.zz; }
// v v^T and a b^T + b a^T.
DEVICE Symmetric square_of(const Vec &v) { return {v.x * v.x, v.x * v.y, v.x * v.z, v.y * v.y, v.y * v.z, v.z * v.z}; }
DEVICE Symmetric products_of(const Vec &a, const Vec &b)
{
    return {Lanes(2.0) * (a.x * b.x), a.x * b.y + a.y * b.x, a.x * b.z + a.z * b.x, Lanes(2.0) * (a.y * b.y),
            a.y * b.z + a.z * b.y, Lanes(2.0) * (a.z * b.z)};
}
// R M R^T, R by its rows.
DEVICE Symmetric congruent(const Symmetric &m, const Vec &first, const Vec &second, const Vec &third)
{
    const Vec a = m * first, b = m * second, c = m * third;
    return {dot(first, a), dot(first, b), dot(first, c), dot(second, b), dot(second, c), dot(third, c)};
}

// v turned about a unit axis by an angle with a sine and a cosine.
DEVICE Vec turned(const Vec &axis, Lanes sine, Lanes cosine, const Vec &v)
{
    return cosine * v + sine * cross(axis, v) + ((Lanes(1.0) - cosine) * dot(v, axis)) * axis;
}

#endif
