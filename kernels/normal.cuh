// Integrals of the normal density, with relative accuracy in both tails and without branches; the twin of
// cubragg/engine/analytic/normal_functions.py. specs/analytic.md
//
//   density(x)  exp(-x^2 / 2) / sqrt(2 pi)
//   between     probability between two points, from the densities at both, by Mills' ratio Q(x) / density(x), x >= 0, Q the
//               upper tail: a Chebyshev fit of (1 + x) times it in u = (x - 4) / (x + 4); relative error 5e-15 and 1e-7
#ifndef CUBRAGG_NORMAL_CUH
#define CUBRAGG_NORMAL_CUH

#include "portable.cuh"
#include "mathematics.cuh"

template <typename T> DEVICE T mills_polynomial(T u)
{
    T r = 2.2439904109511173e-08;
    r = fma_(r, u, 2.912001496236088e-10);
    r = fma_(r, u, -2.2580873793251234e-07);
    r = fma_(r, u, -8.478889162251738e-08);
    r = fma_(r, u, 1.3129259133128625e-06);
    r = fma_(r, u, 1.1096983184638083e-06);
    r = fma_(r, u, -6.490618583347254e-06);
    r = fma_(r, u, -8.669971714570168e-06);
    r = fma_(r, u, 3.412600494622455e-05);
    r = fma_(r, u, 5.3296160491908235e-05);
    r = fma_(r, u, -0.00022020449028206928);
    r = fma_(r, u, -0.00023671026269698038);
    r = fma_(r, u, 0.0017418464293345959);
    r = fma_(r, u, -0.0007159494001326219);
    r = fma_(r, u, -0.012539103330216182);
    r = fma_(r, u, 0.04495912892944394);
    r = fma_(r, u, -0.08070800969753687);
    r = fma_(r, u, 0.0716904812081262);
    r = fma_(r, u, 0.03509188023520894);
    r = fma_(r, u, -0.2423996705218981);
    r = fma_(r, u, 1.1832619145678016);
    return r;
}
DEVICE float mills_polynomial(float u)
{
    float r = -0.0001456131285522133f;
    r = fma_(r, u, -0.0001253076334251091f);
    r = fma_(r, u, 0.0016668795142322779f);
    r = fma_(r, u, -0.0008167371852323413f);
    r = fma_(r, u, -0.012502345256507397f);
    r = fma_(r, u, 0.045001041144132614f);
    r = fma_(r, u, -0.0807163417339325f);
    r = fma_(r, u, 0.07168322056531906f);
    r = fma_(r, u, 0.03509258106350899f);
    r = fma_(r, u, -0.24239932000637054f);
    r = fma_(r, u, 1.1832618713378906f);
    return r;
}

template <typename T> DEVICE T density(T x) { return T(0.3989422804014327) * exponential_below_one(T(-0.5) * x * x); }

// Beyond 40 the density is 0.
template <typename T> DEVICE T magnitude_of(T x) { return choose(fabs_(x) < T(40), fabs_(x), T(40)); }

template <typename T> DEVICE T between(T low, T high, T at_low, T at_high)
{
    // One division in place of four, for u and 1 + x of both.
    const T x = magnitude_of(low), y = magnitude_of(high), one_x = T(1) + x, four_x = x + T(4), one_y = T(1) + y;
    const T four_y = y + T(4), of_x = one_x * four_x, of_y = one_y * four_y, inverse = T(1) / (of_x * of_y);
    const T per_x = inverse * of_y, per_y = inverse * of_x;
    const T tail_low = at_low * (mills_polynomial((x - T(4)) * one_x * per_x) * four_x * per_x);
    const T tail_high = at_high * (mills_polynomial((y - T(4)) * one_y * per_y) * four_y * per_y);
    const T one_side = choose(low > T(0), tail_low - tail_high, tail_high - tail_low);
    const T two_sides = T(1) - tail_low - tail_high;
    return choose((low > T(0)) | (high < T(0)), one_side, two_sides);
}

#endif
