// The value of a spot at a sample, and the factors of a pixel; the twin of cubragg/engine/analytic/profile.py.
// specs/analytic.md, sections 2 and 3
//
//   f, s    position of the sample from the ray [pixel];   rho = |X| / |X0|
//   x, y    conditional wavelength deviation, and standardized deviations of delta, then of D
//   profile = |dD / d(delta)| exp(-(y1^2 + y2^2) / 2) * { exp(-y3^2 / 2) in a still; the probability of the segment's
//             ends less y3 in a rotation image }
#ifndef CUBRAGG_SPOT_PROFILE_CUH
#define CUBRAGG_SPOT_PROFILE_CUH

#include "portable.cuh"
#include "mathematics.cuh"
#include "normal.cuh"
#include "spot.cuh"

// Path of the node: none in a still; a segment so short that it is evaluated at its middle (`Spot::path`); or longer.
#define NONE 0
#define SHORT 1
#define LONG 2
// Second-order terms (`Spot::bent`): left out; they change y3 by little; by more.
#define STRAIGHT 0
#define BENT 1
#define STRONGLY_BENT 2
// Least probability from which moments of the angle are computed.
template <typename T> DEVICE T least_probability(T) { return T(1e-10); }
DEVICE float least_probability(float) { return 1e-5f; }

// rho - 1, and 1 / rho.
template <typename T> struct Distance { T beyond, inverse; };

template <typename T> DEVICE Distance<T> distance_of(const SpotNumbers<T> &spot, T f, T s)
{
    const T squared = spot.square[0] * f * f + T(2) * spot.square[1] * f * s + spot.square[2] * s * s
                      + T(2) * (spot.towards[0] * f + spot.towards[1] * s);
    const T rho = sqrt_(T(1) + squared), sum = rho + T(1), both = T(1) / (rho * sum);
    return {squared * rho * both, sum * both};
}

template <typename T> DEVICE T functional(const T (&row)[4], T f, T s, const Distance<T> &distance)
{
    return fma_(row[0], f, fma_(row[1], s, -row[2] * distance.beyond)) * distance.inverse - row[3];
}

// Mean, variance and third central moment of the angle of a sample, times powers of the pace; 0 in a still. The
// probability of a LONG segment.
template <typename T> struct AngleMoments { T mean, variance, third, probability; };
typedef AngleMoments<REAL> Moments;

template <int PATH, typename T> DEVICE AngleMoments<T> moments(const SpotNumbers<T> &spot, T y)
{
    const T start = spot.ends[0], end = spot.ends[1];
    if (PATH == SHORT) {
        const T middle = T(0.5) * (start + end), variance = (end - start) * (end - start) * T(1.0 / 12.0);
        return {middle - (middle - y) * variance, variance, T(0), T(0)};
    }
    if (PATH == LONG) {
        const T low = start - y, high = end - y, at_low = density(low), at_high = density(high);
        const T Z = between(low, high, at_low, at_high);
        const auto known = Z > least_probability(y);
        const T inverse = T(1) / choose(known, Z, T(1));
        const T above = choose(y < start, start, y), nearest = choose(above > end, end, above);
        // About y, then about the mean.
        const T first = (at_low - at_high) * inverse;
        const T square = T(1) + (low * at_low - high * at_high) * inverse;
        const T cube = T(2) * first + (low * low * at_low - high * high * at_high) * inverse;
        const T variance = square - first * first;
        return {choose(known, y + first, nearest), choose(known & (variance > T(0)), variance, T(0)),
                choose(known, cube - T(3) * first * square + T(2) * first * first * first, T(0)), Z};
    }
    return {T(0), T(0), T(0), T(0)};
}

// The part of the profile along y3.
template <int PATH> DEVICE REAL along_path(const Spot &spot, REAL y)
{
    const REAL low = spot.ends[0] - y, high = spot.ends[1] - y;
    if (PATH == NONE) return exponential_below_one(REAL(-0.5) * y * y);
    if (PATH == LONG) return between(low, high, density(low), density(high));
    const REAL middle = REAL(0.5) * (low + high), length = spot.ends[1] - spot.ends[0];
    const REAL m = middle * middle, w = length * length;
    return density(middle) * length
           * (REAL(1) + w * REAL(1.0 / 24.0) * (m - REAL(1) + w * REAL(1.0 / 80.0) * (m * m - REAL(6) * m + REAL(3))));
}

// Values of the monomials, but for the constant: without p, and with it.
template <typename T> struct Monomials { T still[6], moving[5]; };

// A second-order term. Written out, because compilers do not vectorise around a loop of this size.
template <bool MOVING, typename T> DEVICE T term(const T (&c)[MONOMIALS], const Monomials<T> &m)
{
    T total = fma_(c[0], m.still[0], fma_(c[1], m.still[1], fma_(c[2], m.still[2], c[11])));
    total = fma_(c[3], m.still[3], fma_(c[4], m.still[4], fma_(c[5], m.still[5], total)));
    if (MOVING) {
        total = fma_(c[6], m.moving[0], fma_(c[7], m.moving[1], fma_(c[8], m.moving[2], total)));
        total = fma_(c[9], m.moving[3], fma_(c[10], m.moving[4], total));
    }
    return total;
}

// Replace the standardized deviations of delta by those of D; returns the determinant of its derivative.
template <bool MOVING, typename T> DEVICE T correct(const SpotNumbers<T> &spot, T (&y)[3], const AngleMoments<T> &angle)
{
    const T E = angle.mean, V = angle.variance, z = y[2] - E, rest = T(1) - V;
    const Monomials<T> monomials = {{y[0] * y[0], y[0] * y[1], y[1] * y[1], y[0] * z, y[1] * z, z * z},
                                    {E * y[0], E * y[1], E * z, E * E, V}};
    const T *a = spot.wavelength, *g = spot.radial, *d = spot.divergence;
    // |G| - sqrt(|G|^2 - T): how far a node that is turned by sqrt(T) / |G| falls short of the tangent plane.
    const T u = term<MOVING>(spot.sag, monomials), sag = T(2) * u * (T(1) + u);
    const T slope = a[0] * g[0] + a[1] * g[1] + a[2] * g[2] * rest;
    // The wavelength is that of the length of q, which the sag has not shortened.
    const T x = a[0] * y[0] + a[1] * y[1] + a[2] * z + sag * slope, shrink = T(1) / (T(1) + x);
    const T stretch = T(1) + T(2) * x * slope
                      - shrink * (a[0] * y[0] + a[1] * y[1] + a[2] * y[2] * rest + x * x * slope);
    T divergence = d[0] * y[0] + d[1] * y[1] + d[2] * z;
    if (MOVING) {
        divergence += d[3] * E + V * (d[4] * y[0] + d[5] * y[1] + d[6] * z + d[7] * E) + angle.third * d[8];
    }
    y[0] = (y[0] + x * x * g[0]) * shrink + sag * g[0] - term<MOVING>(spot.bend[0], monomials);
    y[1] = (y[1] + x * x * g[1]) * shrink + sag * g[1] - term<MOVING>(spot.bend[1], monomials);
    y[2] = (y[2] + x * x * g[2]) * shrink + sag * g[2] - term<MOVING>(spot.bend[2], monomials);
    const T determinant = stretch - divergence;
    return choose(determinant > T(0), determinant, T(0));
}

// The profile of a sample, and the moments of its angle.
template <int ORDER, int PATH> DEVICE REAL profile(const Spot &spot, REAL f, REAL s, Moments &angle)
{
    const Distance<REAL> distance = distance_of(spot, f, s);
    REAL y[3], weight = REAL(1);
    UNROLL
    for (int i = 0; i < 3; ++i) y[i] = functional(spot.rows[i], f, s, distance);
    // Number by number: g++ does not vectorise around the copy of a struct of 16 bytes.
    const Moments found = moments<PATH>(spot, y[2]);
    angle.mean = found.mean, angle.variance = found.variance, angle.third = found.third;
    angle.probability = found.probability;
    const REAL before = y[2];
    if (ORDER != STRAIGHT) weight = correct<PATH != NONE>(spot, y, angle);
    REAL exponent = REAL(-0.5) * (y[0] * y[0] + y[1] * y[1]);
    if (PATH != LONG || ORDER == STRONGLY_BENT) return weight * exponential(exponent) * along_path<PATH>(spot, y[2]);
    // The probability at y3 + d, over that at y3, from the cumulants of the angle.
    const REAL d = y[2] - before;
    if (ORDER == BENT) {
        exponent += d * (angle.mean - before
                         + d * (REAL(0.5) * (angle.variance - REAL(1)) + d * angle.third * REAL(1.0 / 6.0)));
    }
    return weight * exponential(exponent) * angle.probability;
}

// Polarization x solid angle x capture at a position.
DEVICE REAL pixel_factor(const SpotParams &p, const Spot &spot, REAL f, REAL s)
{
    const Distance<REAL> distance = distance_of(spot, f, s);
    const REAL rho = REAL(1) + distance.beyond, inverse = distance.inverse;
    REAL factor = spot.solid_angle * inverse * inverse * (p.point_pixel ? REAL(1) : inverse);
    REAL component[3];
    UNROLL
    for (int i = 0; i < 3; ++i) {
        component[i] = (spot.direction[i][0] + spot.direction[i][1] * f + spot.direction[i][2] * s) * inverse;
    }
    const REAL polarized = REAL(0.5) * (REAL(1) + component[0] * component[0]
                           - REAL(p.kahn) * (component[1] * component[1] - component[2] * component[2]));
    factor *= p.polarized ? polarized : REAL(1);
    return factor * (exponential(-spot.depths[0] * rho) - exponential(-spot.depths[1] * rho));
}

#endif
