// Gaussian deviates from counter-based random numbers, with the bits of cubragg/detect/normal_deviates.py. specs/response.md
//
//   Box-Muller: sqrt(-2 ln u) (cos, sin)(2 pi v) of two uniform deviates u, v in (0, 1]. The angle is a quadrant and a
//   remainder x of at most pi / 4, whose sine and cosine are their Taylor polynomials.
#ifndef CUBRAGG_NORMAL_DEVIATES_CUH
#define CUBRAGG_NORMAL_DEVIATES_CUH

#include "portable.cuh"
#include "philox.cuh"
#include "poisson.cuh"

#define HALF_PI 1.5707963267948966

// Arguments of the entry point: deviates of the indices `origin` to `end` - 1 of a draw; `first_pair` is the first pair
// of a launch. Mirrored by normal_deviates.NORMALS_PARAMS.
struct NormalsParams {
    RandomStream stream;
    unsigned draw, first_pair, origin, end;
};
static_assert(sizeof(NormalsParams) == 32, "NormalsParams and its NumPy mirror differ in size");

struct NormalPair { double even, odd; };

// The deviates of the indices 2 pair and 2 pair + 1.
DEVICE NormalPair normal_pair(const RandomStream &stream, unsigned pair, unsigned draw)
{
    const RandomBlock block = own_block(stream, pair, draw);
    const double radius = sqrt_(-2.0 * logarithm(uniform_of(block.words[0], block.words[1])));
    const double turn = uniform_of(block.words[2], block.words[3]);
    const double quarter = floor_(4.0 * turn + 0.5);
    const double x = (4.0 * turn - quarter) * HALF_PI, z = x * x;
    double sine = z * (-1.0 / 1307674368000.0) + 1.0 / 6227020800.0;
    sine = sine * z + -1.0 / 39916800.0;
    sine = sine * z + 1.0 / 362880.0;
    sine = sine * z + -1.0 / 5040.0;
    sine = sine * z + 1.0 / 120.0;
    sine = sine * z + -1.0 / 6.0;
    sine = (sine * z + 1.0) * x;
    double cosine = z * (1.0 / 20922789888000.0) + -1.0 / 87178291200.0;
    cosine = cosine * z + 1.0 / 479001600.0;
    cosine = cosine * z + -1.0 / 3628800.0;
    cosine = cosine * z + 1.0 / 40320.0;
    cosine = cosine * z + -1.0 / 720.0;
    cosine = cosine * z + 1.0 / 24.0;
    cosine = cosine * z + -0.5;
    cosine = cosine * z + 1.0;
    // The quadrant, 0 to 4, which is 0 again.
    const bool swap = quarter == 1.0 || quarter == 3.0;
    const double along = swap ? sine : cosine, across = swap ? cosine : sine;
    const bool left = quarter == 1.0 || quarter == 2.0, below = quarter == 2.0 || quarter == 3.0;
    return {radius * (left ? -along : along), radius * (below ? -across : across)};
}

#endif
