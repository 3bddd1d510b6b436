// A number in double precision for each of several spots that are computed in step: LANES of them in a vector of the CPU,
// one on a GPU. Code that is written for `Lanes` compiles for both, and each lane has the bits of the others' operations.
//
//   choose(mask, a, b)      a where the mask is set, else b
//   any_of(mask)            whether any lane is set
//   lane(x, i), lane(m, i)  the number or the condition of one lane
#ifndef CUBRAGG_LANES_CUH
#define CUBRAGG_LANES_CUH

#include "portable.cuh"
#include "mathematics.cuh"

#if defined(__CUDACC__)

#define LANES 1
typedef double Lanes;
typedef bool LaneMask;
DEVICE bool any_of(bool mask) { return mask; }
DEVICE double lane(double x, int) { return x; }
DEVICE bool lane(bool mask, int) { return mask; }
DEVICE void set_lane(double &x, int, double value) { x = value; }
// A loop over the numbers from `begin` to `end` of a block, LANES at once.
#define FOR_LANES(first, begin, end) for (int first = (begin) + (int)threadIdx.x; first < (end); first += BLOCK)

#else

#if defined(__AVX512F__)
#define LANES 8
#elif defined(__AVX__)
#define LANES 4
#else
#define LANES 2
#endif
typedef double LaneNumbers __attribute__((vector_size(8 * LANES)));
typedef long long LaneBits __attribute__((vector_size(8 * LANES)));
typedef int LaneIntegers __attribute__((vector_size(4 * LANES)));

struct Lanes {
    LaneNumbers v;
    Lanes() = default;
    DEVICE_MEMBER Lanes(double x) : v(LaneNumbers{} + x) {}
    DEVICE_MEMBER explicit Lanes(LaneNumbers numbers) : v(numbers) {}
};
struct LaneMask { LaneBits v; };

DEVICE Lanes operator+(Lanes a, Lanes b) { return Lanes(a.v + b.v); }
DEVICE Lanes operator-(Lanes a, Lanes b) { return Lanes(a.v - b.v); }
DEVICE Lanes operator*(Lanes a, Lanes b) { return Lanes(a.v * b.v); }
DEVICE Lanes operator/(Lanes a, Lanes b) { return Lanes(a.v / b.v); }
DEVICE Lanes operator-(Lanes a) { return Lanes(-a.v); }
DEVICE Lanes &operator+=(Lanes &a, Lanes b) { return a = a + b; }
DEVICE Lanes &operator-=(Lanes &a, Lanes b) { return a = a - b; }
DEVICE Lanes &operator*=(Lanes &a, Lanes b) { return a = a * b; }
DEVICE LaneMask operator<(Lanes a, Lanes b) { return {a.v < b.v}; }
DEVICE LaneMask operator>(Lanes a, Lanes b) { return {a.v > b.v}; }
DEVICE LaneMask operator<=(Lanes a, Lanes b) { return {a.v <= b.v}; }
DEVICE LaneMask operator>=(Lanes a, Lanes b) { return {a.v >= b.v}; }
DEVICE LaneMask operator==(Lanes a, Lanes b) { return {a.v == b.v}; }
DEVICE LaneMask operator&(LaneMask a, LaneMask b) { return {a.v & b.v}; }
DEVICE LaneMask operator|(LaneMask a, LaneMask b) { return {a.v | b.v}; }
DEVICE LaneMask operator!(LaneMask a) { return {~a.v}; }
DEVICE Lanes choose(LaneMask mask, Lanes a, Lanes b) { return Lanes(mask.v ? a.v : b.v); }
DEVICE double lane(Lanes x, int i) { return x.v[i]; }
DEVICE bool lane(LaneMask mask, int i) { return mask.v[i] != 0; }
DEVICE void set_lane(Lanes &x, int i, double value) { x.v[i] = value; }
DEVICE bool any_of(LaneMask mask)
{
    long long found = 0;
    for (int i = 0; i < LANES; ++i) found |= mask.v[i];
    return found != 0;
}

// Functions of each lane; compilers find the instructions for vectors.
#define OF_LANES(function) \
    DEVICE Lanes function(Lanes x) \
    { \
        LaneNumbers result; \
        for (int i = 0; i < LANES; ++i) result[i] = function(x.v[i]); \
        return Lanes(result); \
    }
OF_LANES(sqrt_)
OF_LANES(floor_)
OF_LANES(ceil_)
OF_LANES(rint_)
DEVICE Lanes fabs_(Lanes x) { return Lanes((LaneNumbers)((LaneBits)x.v & 0x7fffffffffffffffll)); }
DEVICE Lanes fma_(Lanes a, Lanes b, Lanes c)
{
    LaneNumbers result;
    for (int i = 0; i < LANES; ++i) result[i] = fma_(a.v[i], b.v[i], c.v[i]);
    return Lanes(result);
}
DEVICE Lanes times_power_of_two(Lanes f, Lanes n)
{
    const LaneIntegers whole = __builtin_convertvector(n.v, LaneIntegers), half = whole >> 1, rest = whole - half;
    const LaneBits low = __builtin_convertvector(half + 1023, LaneBits) << 52;
    const LaneBits high = __builtin_convertvector(rest + 1023, LaneBits) << 52;
    return Lanes(f.v * (LaneNumbers)low * (LaneNumbers)high);
}
DEVICE Lanes times_normal_power_of_two(Lanes f, Lanes n)
{
    const LaneIntegers whole = __builtin_convertvector(n.v, LaneIntegers);
    return Lanes(f.v * (LaneNumbers)(__builtin_convertvector(whole + 1023, LaneBits) << 52));
}
DEVICE Lanes exponential(Lanes x) { return exponential_in_double(x); }
#define FOR_LANES(first, begin, end) for (int first = (begin); first < (end); first += LANES)

#endif

DEVICE Lanes smaller_of(Lanes a, Lanes b) { return choose(b < a, b, a); }
DEVICE Lanes larger_of(Lanes a, Lanes b) { return choose(b > a, b, a); }

#endif
