// The value of a spot at a sample, and the factors of a pixel; the twin of cubragg/engine/analytic/profile.py.
// specs/analytic.md, sections 2 and 3
//
//   f, s    position of the sample from the ray [pixel];   rho = |X| / |X0|
//   x, y    conditional wavelength deviation, and standardized deviations of delta, then of D
//   profile = (1 + x) exp(-(y1^2 + y2^2) / 2) * { exp(-y3^2 / 2) in a still; the probability of the segment's ends less
//             y3 in a rotation image }
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
// Least probability from which moments of the angle are computed.
#define LEAST_PROBABILITY (PRECISION == DOUBLE ? REAL(1e-10) : REAL(1e-5))

DEVICE REAL functional(const REAL (&row)[4], REAL f, REAL s, REAL beyond, REAL inverse)
{
    return fma_(row[0], f, fma_(row[1], s, -row[2] * beyond)) * inverse - row[3];
}

// rho - 1
DEVICE REAL distance_beyond(const Spot &spot, REAL f, REAL s)
{
    const REAL squared = spot.square[0] * f * f + REAL(2) * spot.square[1] * f * s + spot.square[2] * s * s
                         + REAL(2) * (spot.towards[0] * f + spot.towards[1] * s);
    return squared / (sqrt_(REAL(1) + squared) + REAL(1));
}

// Mean and mean square of the angle, times the pace and its square, of a sample at y.
template <int PATH> DEVICE void moments(const Spot &spot, REAL y, REAL &mean, REAL &square)
{
    mean = square = REAL(0);
    const REAL start = spot.ends[0], end = spot.ends[1];
    if (PATH == SHORT) {
        const REAL middle = REAL(0.5) * (start + end), variance = (end - start) * (end - start) * REAL(1.0 / 12.0);
        mean = middle - (middle - y) * variance;
        square = mean * mean + variance;
    }
    if (PATH == LONG) {
        const REAL at_low = density(start - y), at_high = density(end - y);
        const REAL Z = between(start - y, end - y, at_low, at_high);
        const bool known = Z > LEAST_PROBABILITY;
        const REAL inverse = REAL(1) / (known ? Z : REAL(1));
        const REAL above = y < start ? start : y, nearest = above > end ? end : above;
        const REAL inside = y + (at_low - at_high) * inverse;
        const REAL inside_square = y * y + REAL(1) + ((y + start) * at_low - (y + end) * at_high) * inverse;
        mean = known ? inside : nearest;
        square = known ? inside_square : nearest * nearest;
    }
}

// The part of the profile along y3.
template <int PATH> DEVICE REAL along_path(const Spot &spot, REAL y)
{
    const REAL low = spot.ends[0] - y, high = spot.ends[1] - y;
    if (PATH == NONE) return exponential(REAL(-0.5) * y * y);
    if (PATH == LONG) return between(low, high, density(low), density(high));
    const REAL middle = REAL(0.5) * (low + high), length = spot.ends[1] - spot.ends[0];
    const REAL m = middle * middle, w = length * length;
    return density(middle) * length
           * (REAL(1) + w * REAL(1.0 / 24.0) * (m - REAL(1) + w * REAL(1.0 / 80.0) * (m * m - REAL(6) * m + REAL(3))));
}

// The profile of a sample; `mean` and `square` are set to the moments of the angle.
template <bool BENT, int PATH> DEVICE REAL profile(const Spot &spot, REAL f, REAL s, REAL &mean, REAL &square)
{
    const REAL beyond = distance_beyond(spot, f, s), inverse = REAL(1) / (REAL(1) + beyond);
    REAL y[4];
    UNROLL
    for (int i = 0; i < 4; ++i) y[i] = functional(spot.rows[ROW_WAVELENGTH + i], f, s, beyond, inverse);
    moments<PATH>(spot, y[3], mean, square);
    if (BENT) {
        const REAL radial = functional(spot.rows[ROW_RADIAL], f, s, beyond, inverse);
        const REAL first = functional(spot.rows[ROW_TANGENT_1], f, s, beyond, inverse);
        const REAL second = functional(spot.rows[ROW_TANGENT_2], f, s, beyond, inverse);
        const REAL T = first * first + second * second + REAL(2) * mean * first * spot.drift
                       + square * spot.drift * spot.drift + spot.trace;
        // |G| - sqrt(|G|^2 - T): how far a node that is turned by sqrt(T) / |G| falls short of the tangent plane.
        const REAL sag = T * spot.half_inverse * (REAL(1) + T * spot.half_inverse * spot.half_inverse);
        const REAL x = y[0], bend = (REAL(1) + x) * sag, shrink = REAL(1) / (REAL(1) + x);
        UNROLL
        for (int i = 0; i < 4; ++i) {
            y[i] = (y[i] + x * radial * spot.correction[i]) * shrink + bend * spot.correction[i]
                   - square * spot.curvature[i];
        }
    }
    return (REAL(1) + y[0]) * exponential(REAL(-0.5) * (y[1] * y[1] + y[2] * y[2])) * along_path<PATH>(spot, y[3]);
}

// Polarization x solid angle x capture at a position.
DEVICE REAL pixel_factor(const SpotParams &p, const Spot &spot, REAL f, REAL s)
{
    const REAL rho = REAL(1) + distance_beyond(spot, f, s), inverse = REAL(1) / rho;
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
