// Elementary functions in both precisions, with the same operations in every compiler. No branches, so that
// the CPU can evaluate them on vectors. Those in double precision are templates, for the `Lanes` of lanes.cuh.
//
//   sinpi_(x)          sin(pi x) for |x| <= 1/2; relative error 4.5e-16 and 1.7e-7
//   sine_cosine        of a reduced angle |z| <= pi/4 in quadrant n
//   exponential(x)     exp(x) with gradual underflow; 0 below the smallest number, inf above the largest
//   by_constant(x, c)  x / c of a constant c; in single precision x times its reciprocal
#ifndef CUBRAGG_MATHEMATICS_CUH
#define CUBRAGG_MATHEMATICS_CUH

#include "portable.cuh"

#define PI 3.141592653589793

DEVICE double by_constant(double x, double constant) { return x / constant; }
DEVICE float by_constant(float x, double constant) { return x * (float)(1.0 / constant); }

// x P(x^2); 8 terms of a Chebyshev fit in double, 5 of a minimax fit in single.
DEVICE double sinpi_(double x)
{
    const double u = x * x;
    double r = fma_(u, -2.113362735205297e-05, 0.0004659870158043378);
    r = fma_(u, r, -0.0073703643265304155);
    r = fma_(u, r, 0.08214587881631043);
    r = fma_(u, r, -0.599264528825224);
    r = fma_(u, r, 2.5501640398618677);
    r = fma_(u, r, -5.1677127800497855);
    r = fma_(u, r, 3.1415926535897927);
    return r * x;
}
DEVICE float sinpi_(float x)
{
    const float u = x * x;
    float r = fma_(u, 0.07756038755178452f, -0.5982421040534973f);
    r = fma_(u, r, 2.550069808959961f);
    r = fma_(u, r, -5.167709827423096f);
    r = fma_(u, r, 3.1415927410125732f);
    return r * x;
}

// Taylor series: 8 and 9 terms beyond the leading one in double, 4 and 5 in single.
template <typename T> DEVICE T sine_of_reduced(T z)
{
    const T u = z * z;
    T r = fma_(u, 1.0 / 355687428096000.0, -1.0 / 1307674368000.0);
    r = fma_(u, r, 1.0 / 6227020800.0);
    r = fma_(u, r, -1.0 / 39916800.0);
    r = fma_(u, r, 1.0 / 362880.0);
    r = fma_(u, r, -1.0 / 5040.0);
    r = fma_(u, r, 1.0 / 120.0);
    r = fma_(u, r, -1.0 / 6.0);
    return fma_(u * z, r, z);
}
DEVICE float sine_of_reduced(float z)
{
    const float u = z * z;
    float r = fma_(u, 1.0f / 362880.0f, -1.0f / 5040.0f);
    r = fma_(u, r, 1.0f / 120.0f);
    r = fma_(u, r, -1.0f / 6.0f);
    return fma_(u * z, r, z);
}
template <typename T> DEVICE T cosine_of_reduced(T z)
{
    const T u = z * z;
    T r = fma_(u, -1.0 / 6402373705728000.0, 1.0 / 20922789888000.0);
    r = fma_(u, r, -1.0 / 87178291200.0);
    r = fma_(u, r, 1.0 / 479001600.0);
    r = fma_(u, r, -1.0 / 3628800.0);
    r = fma_(u, r, 1.0 / 40320.0);
    r = fma_(u, r, -1.0 / 720.0);
    r = fma_(u, r, 1.0 / 24.0);
    r = fma_(u, r, -0.5);
    return fma_(u, r, 1.0);
}
DEVICE float cosine_of_reduced(float z)
{
    const float u = z * z;
    float r = fma_(u, -1.0f / 3628800.0f, 1.0f / 40320.0f);
    r = fma_(u, r, -1.0f / 720.0f);
    r = fma_(u, r, 1.0f / 24.0f);
    r = fma_(u, r, -0.5f);
    return fma_(u, r, 1.0f);
}

// Sine and cosine of z + n pi/2, n a whole number.
template <typename T> DEVICE void sine_cosine(T z, T n, T &sine, T &cosine)
{
    const T s = sine_of_reduced(z), c = cosine_of_reduced(z);
    const T quadrant = n - T(4) * floor_(n * T(0.25));
    const auto swapped = (quadrant == T(1)) | (quadrant == T(3));
    const T first = choose(swapped, c, s), second = choose(swapped, s, c);
    sine = choose(quadrant >= T(2), -first, first);
    cosine = choose((quadrant == T(1)) | (quadrant == T(2)), -second, second);
}

// Sine and cosine of an angle up to about 1e5 rad; pi/2 in two parts, the first of 33 bits: n times it is exact.
template <typename T> DEVICE void sine_cosine_of(T x, T &sine, T &cosine)
{
    const T n = rint_(x * (2.0 / PI));
    const T z = (x - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11;
    sine_cosine(z, n, sine, cosine);
}

// 2^n f, with n in two halves so that subnormal results are rounded once.
DEVICE double times_power_of_two(double f, double n)
{
    const int whole = (int)n, half = whole / 2;
    return f * double_of_bits((long long)(half + 1023) << 52) * double_of_bits((long long)(whole - half + 1023) << 52);
}
DEVICE float times_power_of_two(float f, float n)
{
    const int whole = (int)n, half = whole / 2;
    return f * float_of_bits((half + 127) << 23) * float_of_bits((whole - half + 127) << 23);
}

// exp(x) as 2^n (1 + e); returns e.
template <typename T> DEVICE T reduced_exponential(T x, T &n)
{
    n = rint_(x * 1.4426950408889634);
    const T r = fma_(n, -1.90821492927058770002e-10, fma_(n, -6.93147180369123816490e-01, x));
    T e = fma_(r, 1.0 / 6227020800.0, 1.0 / 479001600.0);
    e = fma_(r, e, 1.0 / 39916800.0);
    e = fma_(r, e, 1.0 / 3628800.0);
    e = fma_(r, e, 1.0 / 362880.0);
    e = fma_(r, e, 1.0 / 40320.0);
    e = fma_(r, e, 1.0 / 5040.0);
    e = fma_(r, e, 1.0 / 720.0);
    e = fma_(r, e, 1.0 / 120.0);
    e = fma_(r, e, 1.0 / 24.0);
    e = fma_(r, e, 1.0 / 6.0);
    e = fma_(r, e, 0.5);
    return fma_(r * r, e, r);
}
template <typename T> DEVICE T exponential_in_double(T x)
{
    T n;
    const T inside = choose(x < -750.0, T(-750.0), choose(x > 710.0, T(710.0), x));  // beyond: 0 and inf
    const T e = reduced_exponential(inside, n);
    return times_power_of_two(1.0 + e, n);
}
DEVICE double exponential(double x) { return exponential_in_double(x); }
DEVICE float exponential(float x)
{
    const float inside = x < -105.0f ? -105.0f : x > 89.0f ? 89.0f : x;
    const float n = rint_(inside * 1.44269504f);
    const float r = fma_(n, 2.12194440e-4f, fma_(n, -6.93359375e-1f, inside));
    float e = fma_(r, 1.0f / 5040.0f, 1.0f / 720.0f);
    e = fma_(r, e, 1.0f / 120.0f);
    e = fma_(r, e, 1.0f / 24.0f);
    e = fma_(r, e, 1.0f / 6.0f);
    e = fma_(r, e, 0.5f);
    e = fma_(r * r, e, r);
    return times_power_of_two(1.0f + e, n);
}

// exp(x) of x <= 0, of larger numbers than the smallest normal one: a power of two in one step.
DEVICE double times_normal_power_of_two(double f, double n)
{
    return f * double_of_bits((long long)((int)n + 1023) << 52);
}
template <typename T> DEVICE T exponential_below_one(T x)
{
    T n;
    const T e = reduced_exponential(choose(x < -708.0, T(-708.0), x), n);
    return times_normal_power_of_two(1.0 + e, n);
}
DEVICE float exponential_below_one(float x) { return exponential(x < -87.0f ? -87.0f : x); }

// exp(x) of x <= 0, for the terms of a sum: in single precision on a GPU with a relative error of 2e-7 - 1e-7 x.
DEVICE double exponential_of_term(double x) { return exponential(x); }
#if defined(__CUDACC__)
DEVICE float exponential_of_term(float x) { return power_of_two(x * 1.44269504f); }
#else
DEVICE float exponential_of_term(float x) { return exponential(x); }
#endif

// sum + a x: in double NumPy's operations, in single precision fused.
DEVICE double plus_product(double sum, double a, double x) { return sum + a * x; }
DEVICE float plus_product(float sum, float a, float x) { return fma_(a, x, sum); }
// a x + b y + c z likewise.
template <typename T> DEVICE T sum_of_products(T a, T x, T b, T y, T c, T z)
{
    return plus_product(plus_product(a * x, b, y), c, z);
}

#endif
