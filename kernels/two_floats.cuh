// A number as the unevaluated sum of two floats, of about 48 bits. specs/backends.md
//
// Error-free transformations: T. J. Dekker, Numer. Math. 18 (1971) 224; D. E. Knuth, The Art of Computer Programming 2,
// 4.2.2. They rely on compilers that neither contract nor reorder (portable.cuh).
#ifndef CUBRAGG_TWO_FLOATS_CUH
#define CUBRAGG_TWO_FLOATS_CUH

#include "portable.cuh"

struct Pair {
    float value, rest;  // rest: at most half a unit in the last place of value
};

DEVICE Pair pair_of(double x)
{
    const float value = (float)x;
    return {value, (float)(x - (double)value)};
}

// Sum of two floats where |a| >= |b|, or a = 0.
DEVICE Pair sum_of_ordered(float a, float b)
{
    const float sum = a + b;
    return {sum, b - (sum - a)};
}

DEVICE Pair sum_of(float a, float b)
{
    const float sum = a + b, part = sum - a;
    return {sum, (a - (sum - part)) + (b - part)};
}

DEVICE Pair product_of(float a, float b)
{
    const float product = a * b;
    return {product, product_error(a, b, product)};
}

// Neither result is renormalized: the rest may exceed half a unit of the value by a few roundings.
DEVICE Pair product_of(Pair a, Pair b)
{
    const Pair heads = product_of(a.value, b.value);
    return {heads.value, fma_(a.value, b.rest, fma_(a.rest, b.value, heads.rest))};
}
DEVICE Pair sum_of(Pair a, Pair b)
{
    const Pair heads = sum_of(a.value, b.value);
    return {heads.value, a.rest + (heads.rest + b.rest)};
}

#endif
