// Macros and functions that differ between compilers: NVRTC and nvcc for the GPU, g++ or clang++ for the CPU.
//
// A block renders a tile of pixels. On the GPU it has one thread per pixel, and FOR_T is executed once by that thread;
// on the CPU a thread executes a whole block, and FOR_T is a vector loop over the pixels. Per-pixel values that persist from
// one FOR_T to the next, in a function or a struct, are declared with PRIV and accessed with L(): a register on the
// GPU, an array element on the CPU; PRIV_ARGUMENT declares a function parameter of that kind. A function that uses `t`
// itself begins with THREAD. Loops over sub-pixels, sources and orientations are outside FOR_T, so that on the CPU the
// pixels are the innermost loop. FOR_ROWS, with L_ROWS, is FOR_T row by row, for contiguous access to an image; FOR_PIXELS is that
// of the first rows and columns of a tile.
// FOR_COUNT distributes a number of items over a block, FOR_RANGE those from the first to the last, so that each item is the
// same thread's in every range. VOTE evaluates up to CHUNK conditions and stores the results as
// bits of 32-bit words; `listed` lists the set ones. LOCAL declares a struct that a block reads: a copy on the CPU, so that
// vector loops know that their stores do not change it. Launches on the CPU are in cubragg/device/host_launch.hpp.
//
// No system header is included: NVRTC from a wheel has none. Contraction to fused multiply-adds is
// off in every compiler (-ffp-contract=off, --fmad=false); fma_() requests one where its rounding may
// differ from NumPy's. In double precision the Miller indices therefore have NumPy's bits, and
// both select the same reflection on a rounding tie.
#ifndef CUBRAGG_PORTABLE_CUH
#define CUBRAGG_PORTABLE_CUH

#ifndef TILE_FAST
#define TILE_FAST 16
#endif
#ifndef TILE_SLOW
#define TILE_SLOW 8
#endif
#define BLOCK (TILE_FAST * TILE_SLOW)
// Orientations between two additions of the REAL sum to the ACC sum.
#define CHUNK 64

// Boolean per pixel, as wide as a float for vector operations on both.
typedef int FLAG;

#if defined(__CUDACC__)

// Minimum number of resident blocks per multiprocessor, which ENTRY_WITH takes: limits a thread to 64 registers, to 80
// with interpolation, to 128 in double precision.
#ifndef MIN_BLOCKS
#define MIN_BLOCKS ((PRECISION == DOUBLE ? 512 : FACTORS == TRICUBIC ? 768 : 1024) / BLOCK)
#endif

#define DEVICE __device__ __forceinline__
#define ENTRY_WITH(name, blocks) extern "C" __global__ void __launch_bounds__(BLOCK, blocks) name
#define ENTRY(name) ENTRY_WITH(name, MIN_BLOCKS)
#define THREAD const int t = (int)threadIdx.x
#define FOR_T for (bool once = true; once; once = false)
#define FOR_ROWS \
    for (int row = (int)threadIdx.x / TILE_FAST, column = (int)threadIdx.x % TILE_FAST, once = 1; once; once = 0)
#define FOR_PIXELS(row, column, width, height) \
    for (int row = (int)threadIdx.x / TILE_FAST, column = (int)threadIdx.x % TILE_FAST, \
             once = row < (height) && column < (width); once; once = 0)
#define FOR_COUNT(i, count) for (int i = (int)threadIdx.x; i < (count); i += BLOCK)
#define FOR_RANGE(i, count, first, last) FOR_COUNT(i, count) if (i >= (first) && i <= (last))
#define PRIV(type, name) type name
#define PRIV3(type, name) type name[3]
#define PRIV_ARGUMENT(type, name) type &name
#define L(name) name
#define L_ROWS(name) name
#define L3(name, axis) name[axis]
#define SHARED(type, name, count) __shared__ type name[count]
#define CONSTANT_TABLE static __constant__ const
#define SYNC() __syncthreads()
#define ONE_THREAD if (threadIdx.x == 0)
#define VOTE(words, i, count, yes) \
    for (int i = (int)threadIdx.x; i < CHUNK; i += BLOCK) { \
        const unsigned bits = __ballot_sync(0xffffffffu, i < (count) && (yes)); \
        if (i % 32 == 0) (words)[i / 32] = bits; \
    }
#define ANY(name) (__syncthreads_or(name) != 0)
#define RESTRICT __restrict__
#define LOCAL(type) const type &
// Memory is read after this again: numbers that are the same in all passes of a loop do not fill the registers.
#define READ_AGAIN() asm volatile("" ::: "memory")
#define UNROLL _Pragma("unroll")
#define UNROLL_TWICE _Pragma("unroll 2")

DEVICE double fma_(double a, double b, double c) { return __fma_rn(a, b, c); }
DEVICE float fma_(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE float product_error(float a, float b, float product) { return __fmaf_rn(a, b, -product); }
DEVICE double sqrt_(double x) { return __dsqrt_rn(x); }
DEVICE double root(double x) { return sqrt_(x); }
DEVICE float sqrt_(float x) { return __fsqrt_rn(x); }
DEVICE double ceil_(double x) { return ::ceil(x); }
DEVICE float ceil_(float x) { return ::ceilf(x); }
DEVICE double floor_(double x) { return ::floor(x); }
DEVICE float floor_(float x) { return ::floorf(x); }
DEVICE double fabs_(double x) { return ::fabs(x); }
DEVICE float fabs_(float x) { return ::fabsf(x); }
DEVICE double rint_(double x) { return ::rint(x); }
DEVICE float rint_(float x) { return ::rintf(x); }
DEVICE double double_of_bits(long long bits) { return __longlong_as_double(bits); }
DEVICE float float_of_bits(int bits) { return __int_as_float(bits); }
DEVICE long long bits_of_double(double x) { return __double_as_longlong(x); }
DEVICE int bits_of_float(float x) { return __float_as_int(x); }
DEVICE int low_word(double x) { return __double2loint(x); }

// Nearest number in single precision, for arithmetic that takes a subnormal one as 0: a conversion that makes it 0 has two
// instructions more.
DEVICE float nearest_float(double x)
{
    float result;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(result) : "d"(x));
    return result;
}

// List the positions of the set bits of a chunk, ascending; returns their number.
DEVICE int listed(const unsigned *words, int *list)
{
    int total = 0;
    UNROLL
    for (int word = 0; word < CHUNK / 32; ++word) {
        const unsigned bits = words[word];
        for (int i = (int)threadIdx.x; i < 32; i += BLOCK) {
            if (bits >> i & 1u) list[total + __popc(bits & ((1u << i) - 1u))] = 32 * word + i;
        }
        total += __popc(bits);
    }
    return total;
}
DEVICE int set_bits(unsigned bits) { return __popc(bits); }
// Set a flag that all blocks share.
DEVICE void raise_flag(int *flag) { atomicOr(flag, 1); }

// Quotient accurate to one or two units in the last place, for finite numerators and normal denominators: half the
// instructions of the IEEE division, and no branch.
DEVICE double quotient(double above, double below)
{
    double inverse;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(inverse) : "d"(below));
    inverse = fma_(inverse, fma_(-below, inverse, 1.0), inverse);
    inverse = fma_(inverse, fma_(-below, inverse, 1.0), inverse);
    return above * inverse;
}
DEVICE float quotient(float above, float below) { return __fdividef(above, below); }

// Square root accurate to one unit in the last place, of 0 or more and below 1e37, without the branch of the IEEE one.
DEVICE float root(float x)
{
    float inverse;
    const float above = x + 1e-37f;  // 0 has no reciprocal root
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(above));
    const float y = above * inverse;
    return fma_(fma_(-y, y, above), 0.5f * inverse, y);
}

// 2^x with a relative error of 2e-7; 0 below the smallest normal number.
DEVICE float power_of_two(float x)
{
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

#else

#define DEVICE static inline __attribute__((always_inline))
#define DEVICE_MEMBER inline __attribute__((always_inline))
#define ENTRY_WITH(name, blocks) static void name
#define ENTRY(name) static void name
#define THREAD static_assert(true, "")
#define FOR_T _Pragma("omp simd") for (int t = 0; t < BLOCK; ++t)
#define FOR_ROWS \
    for (int row = 0; row < TILE_SLOW; ++row) \
        _Pragma("omp simd") for (int column = 0; column < TILE_FAST; ++column)
#define FOR_PIXELS(row, column, width, height) \
    for (int row = 0; row < (height); ++row) \
        _Pragma("omp simd") for (int column = 0; column < (width); ++column)
#define FOR_COUNT(i, count) _Pragma("omp simd") for (int i = 0; i < (count); ++i)
#define FOR_RANGE(i, count, first, last) _Pragma("omp simd") for (int i = (first); i <= (last); ++i)
#define PRIV(type, name) alignas(64) type name[BLOCK]
#define PRIV3(type, name) alignas(64) type name[3][BLOCK]
#define PRIV_ARGUMENT(type, name) type (&name)[BLOCK]
#define L(name) name[t]
#define L_ROWS(name) name[row * TILE_FAST + column]
#define L3(name, axis) name[axis][t]
#define SHARED(type, name, count) alignas(64) type name[count]
#define CONSTANT_TABLE static const
#define SYNC()
#define ONE_THREAD
#define VOTE(words, i, count, yes) \
    for (int word = 0; word < CHUNK / 32; ++word) { \
        alignas(64) FLAG results[32]; \
        FOR_COUNT(lane, 32) { const int i = 32 * word + lane; results[lane] = (yes); } \
        const int left = (count) - 32 * word; \
        (words)[word] = ballot(results) & (left >= 32 ? ~0u : left > 0 ? (1u << left) - 1u : 0u); \
    }
#define ANY(name) any_lane(name)
#define RESTRICT __restrict__
#define LOCAL(type) const type
#define READ_AGAIN()
#define UNROLL
#define UNROLL_TWICE

// On CPUs without the instruction a fused multiply-add would be a call of the C library.
#if defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__aarch64__)
DEVICE double fma_(double a, double b, double c) { return __builtin_fma(a, b, c); }
DEVICE float fma_(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE float product_error(float a, float b, float product) { return fma_(a, b, -product); }
#else
DEVICE double fma_(double a, double b, double c) { return a * b + c; }
DEVICE float fma_(float a, float b, float c) { return a * b + c; }
DEVICE float product_error(float a, float b, float product) { return (float)((double)a * b - product); }
#endif
DEVICE double sqrt_(double x) { return __builtin_sqrt(x); }
DEVICE double root(double x) { return sqrt_(x); }
DEVICE float sqrt_(float x) { return __builtin_sqrtf(x); }
DEVICE double ceil_(double x) { return __builtin_ceil(x); }
DEVICE float ceil_(float x) { return __builtin_ceilf(x); }
DEVICE double floor_(double x) { return __builtin_floor(x); }
DEVICE float floor_(float x) { return __builtin_floorf(x); }
DEVICE double fabs_(double x) { return __builtin_fabs(x); }
DEVICE float fabs_(float x) { return __builtin_fabsf(x); }
DEVICE double rint_(double x) { return __builtin_rint(x); }
DEVICE float rint_(float x) { return __builtin_rintf(x); }
DEVICE double double_of_bits(long long bits)
{
    double x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
DEVICE float float_of_bits(int bits)
{
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
DEVICE long long bits_of_double(double x)
{
    long long bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}
DEVICE double quotient(double above, double below) { return above / below; }
DEVICE float quotient(float above, float below) { return above / below; }
DEVICE float root(float x) { return sqrt_(x); }

DEVICE unsigned ballot(const FLAG *votes)
{
    unsigned bits = 0;
    for (int i = 0; i < 32; ++i) bits |= (unsigned)votes[i] << i;
    return bits;
}
DEVICE int listed(const unsigned *words, int *list)
{
    int total = 0;
    for (int word = 0; word < CHUNK / 32; ++word) {
        for (unsigned bits = words[word]; bits != 0; bits &= bits - 1) list[total++] = 32 * word + __builtin_ctz(bits);
    }
    return total;
}
DEVICE int set_bits(unsigned bits) { return __builtin_popcount(bits); }
DEVICE void raise_flag(int *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
DEVICE float nearest_float(double x) { return (float)x; }

DEVICE bool any_lane(const FLAG (&flags)[BLOCK])
{
    int found = 0;
    for (int t = 0; t < BLOCK; ++t) found |= flags[t];
    return found != 0;
}

// Index of the current block, under CUDA's name.
struct BlockIndex { int x, y; };
static thread_local BlockIndex blockIdx;

#endif

template <typename T> DEVICE T choose(bool yes, T first, T second) { return yes ? first : second; }

#endif
