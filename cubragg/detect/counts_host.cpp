// Poisson deviates of an image on the CPU: the counts of kernels/counts.cu, drawn for vectors of pixels.
//
// A block is BLOCK pixels of a row of the region. Means below SEARCH_BELOW are searched for in groups of LANES pixels,
// in step; pixels with larger means are listed, and the list is drawn again and again without those that have a count.
//
// Mapping: a thread draws a block.
#include "portable.cuh"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// A vector of pixels, and the mask that comparisons of such vectors give.
#if defined(__AVX__)
#define WIDTH 4
#else
#define WIDTH 2
#endif
typedef double Vector __attribute__((vector_size(8 * WIDTH)));
typedef long long Mask __attribute__((vector_size(8 * WIDTH)));
typedef unsigned Words __attribute__((vector_size(4 * WIDTH)));

DEVICE Vector double_of_bits(Mask bits) { return (Vector)bits; }
DEVICE Mask bits_of_double(Vector x) { return (Mask)x; }

#include "philox.cuh"
#include "poisson.cuh"
#include "counts.cuh"
#include "host_launch.hpp"

// Pixels that are searched for in step, and counters whose random words are computed together.
#define LANES 16
#define COUNTERS 64
// Steps of a search between two looks whether any pixel goes on: a step more costs less than a branch that is predicted
// wrongly. What is fastest for means from 1 to 10.
#if defined(__AVX512VL__)
#define STEPS 3
#else
#define STEPS 2
#endif
static_assert(STEPS <= 3, "INVERSE ends two steps after LAST_STEP");

DEVICE int rounded_up(int number) { return (number + LANES - 1) / LANES * LANES; }

// Random words of up to COUNTERS counters, a multiple of LANES, with the first words `firsts`.
#if defined(__AVX2__)

// g++ does not find the instruction for a product of 32 bits by 32, and takes six others. A vector has a word of four
// counters, in lanes of 64 bits.
#define QUADS (LANES / 4)

static void draw_words(const RandomStream &stream, const unsigned *firsts, unsigned draw, int count,
                       unsigned (&words)[4][COUNTERS])
{
    const __m256i multipliers[2] = {_mm256_set1_epi64x(PHILOX_MULTIPLIER_FIRST),
                                    _mm256_set1_epi64x(PHILOX_MULTIPLIER_SECOND)};
    const __m256i low_halves = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    for (int i = 0; i < count; i += LANES) {
        __m256i w[4][QUADS];
        for (int n = 0; n < QUADS; ++n) {
            w[0][n] = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(firsts + i + 4 * n)));
            w[1][n] = _mm256_set1_epi64x(draw);
            w[2][n] = _mm256_set1_epi64x(stream.effect);
            w[3][n] = _mm256_set1_epi64x(stream.shot);
        }
        unsigned low = stream.key_low, high = stream.key_high;
        for (int round = 0; round < PHILOX_ROUNDS; ++round) {
            const __m256i keys[2] = {_mm256_set1_epi64x(low), _mm256_set1_epi64x(high)};
            for (int n = 0; n < QUADS; ++n) {
                const __m256i first = _mm256_mul_epu32(w[0][n], multipliers[0]);
                const __m256i second = _mm256_mul_epu32(w[2][n], multipliers[1]);
                w[0][n] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(second, 32), w[1][n]), keys[0]);
                w[2][n] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(first, 32), w[3][n]), keys[1]);
                w[1][n] = second;
                w[3][n] = first;
            }
            low += PHILOX_WEYL_LOW;
            high += PHILOX_WEYL_HIGH;
        }
        for (int word = 0; word < 4; ++word) {
            for (int n = 0; n < QUADS; ++n) {
                const __m256i packed = _mm256_permutevar8x32_epi32(w[word][n], low_halves);
                _mm_storeu_si128((__m128i *)(words[word] + i + 4 * n), _mm256_castsi256_si128(packed));
            }
        }
    }
}

#else

static void draw_words(const RandomStream &stream, const unsigned *firsts, unsigned draw, int count,
                       unsigned (&words)[4][COUNTERS])
{
#pragma omp simd
    for (int i = 0; i < count; ++i) {
        unsigned long long a = firsts[i], b = draw, c = stream.effect, d = stream.shot;
        philox(a, b, c, d, stream.key_low, stream.key_high);
        words[0][i] = (unsigned)a;
        words[1][i] = (unsigned)b;
        words[2][i] = (unsigned)c;
        words[3][i] = (unsigned)d;
    }
}

#endif

struct Chunk {
    unsigned first;  // index of its first pixel, a multiple of 4
    alignas(64) double mean[BLOCK];
    alignas(64) double count[BLOCK];
    int list[BLOCK];  // pixels without a count, in the chunk
    int listed;
};

#define VECTORS (LANES / WIDTH)

template <typename T> DEVICE T loaded(const void *place)
{
    T vector;
    __builtin_memcpy(&vector, place, sizeof vector);
    return vector;
}

DEVICE bool any(Mask mask)
{
#if defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
    return (mask[0] | mask[1]) != 0;
#endif
}

// Word / 2^32: the words become the last bits of 2^52.
DEVICE Vector fraction_of(Words words)
{
    return ((Vector)(__builtin_convertvector(words, Mask) | 0x4330000000000000ll) - 4503599627370496.0) * TWO_TO_MINUS_32;
}

// `search_count` of poisson.cuh for LANES pixels; a mean of 0 gives 0. The state of the search is in registers.
static void search_lanes(const RandomStream &stream, Chunk &chunk, int begin, const unsigned *words)
{
    Vector mean[VECTORS], v[VECTORS], nearest[VECTORS], count[VECTORS];
    Tail<Vector> tail[VECTORS];
    Mask active = {}, open = {};
    for (int n = 0; n < VECTORS; ++n) {
        mean[n] = loaded<Vector>(chunk.mean + begin + WIDTH * n);
        mean[n] = (Vector)((Mask)mean[n] & (mean[n] < SEARCH_BELOW));
        v[n] = fraction_of(loaded<Words>(words + WIDTH * n));
        active |= v[n] <= mean[n] * 1.000001;
    }
    if (!any(active)) {  // S(0) <= mean: no pixel has a photon
        for (int i = 0; i < LANES; ++i) chunk.count[begin + i] = 0.0;
        return;
    }
    active = Mask{};
    for (int n = 0; n < VECTORS; ++n) {
        tail[n] = first_tail(mean[n]);
        v[n] = searched_deviate(v[n], tail[n].above);
        nearest[n] = Vector{} + 1.0;
        count[n] = Vector{};
        active |= v[n] < tail[n].above;
    }
    for (int k = 1; any(active); k += STEPS) {
        active = Mask{};
        for (int n = 0; n < VECTORS; ++n) {
            for (int step = 0; step < STEPS; ++step) {
                const Mask below = v[n] < tail[n].above;
                nearest[n] = below ? tail[n].above : nearest[n];
                count[n] += (Vector)(below & (Mask)(Vector{} + 1.0));
                next_tail(tail[n], mean[n], k + step);
            }
            active |= v[n] < tail[n].above;
        }
    }
    for (int n = 0; n < VECTORS; ++n) {
        __builtin_memcpy(chunk.count + begin + WIDTH * n, &count[n], sizeof count[n]);
        open |= ~(v[n] + TWO_TO_MINUS_32 < nearest[n]);
    }
    for (int i = 0; any(open) && i < LANES; ++i) {
        const double small = chunk.mean[begin + i] < SEARCH_BELOW ? chunk.mean[begin + i] : 0.0;
        chunk.count[begin + i] = search_count(stream, chunk.first + (unsigned)(begin + i), small, words[i]);
    }
}

// Draw the counts of those of up to 4 COUNTERS pixels that have small means, and list the others.
static void draw_part(const RandomStream &stream, Chunk &chunk, int begin, int number)
{
    Mask small = {}, all = ~Mask{};
    for (int i = 0; i < number; i += WIDTH) {
        const Mask below = loaded<Vector>(chunk.mean + begin + i) < SEARCH_BELOW;
        small |= below;
        all &= below;
    }
    for (int i = begin; any(~all) && i < begin + number; ++i) {
        chunk.list[chunk.listed] = i;
        chunk.listed += chunk.mean[i] >= SEARCH_BELOW;
    }
    if (!any(small)) return;
    alignas(64) unsigned quads[COUNTERS], words[4][COUNTERS], of_pixels[4 * COUNTERS];
    const int padded = rounded_up((number + 3) / 4);
    for (int i = 0; i < padded; ++i) quads[i] = (chunk.first + (unsigned)begin) / 4u + (unsigned)i;
    draw_words(stream, quads, 0, padded, words);
    for (int i = 0; i < padded; ++i) {
        for (int word = 0; word < 4; ++word) of_pixels[4 * i + word] = words[word][i];
    }
    for (int i = 0; i < number; i += LANES) search_lanes(stream, chunk, begin + i, of_pixels + i);
}

// Proposals that are neither accepted nor rejected, with the pixels of the chunk.
struct OpenProposals {
    alignas(64) double mean[BLOCK], count[BLOCK], edge[BLOCK], v[BLOCK];
    int pixel[BLOCK], number;
};

enum Verdict { OPEN, ACCEPTED, REJECTED };

// Propose counts for up to COUNTERS pixels: write them, and list the open ones. Returns the number of those that are
// rejected, which are then in `rest`.
static int propose_all(const RandomStream &stream, Chunk &chunk, const int *list, int number, unsigned attempt,
                       OpenProposals &open, int *rest)
{
    alignas(64) unsigned firsts[COUNTERS], words[4][COUNTERS];
    alignas(64) double mean[COUNTERS], count[COUNTERS], edge[COUNTERS], v[COUNTERS];
    alignas(64) int verdict[COUNTERS];
    const int padded = rounded_up(number);
    for (int i = 0; i < padded; ++i) {
        const int pixel = list[i < number ? i : 0];
        firsts[i] = chunk.first + (unsigned)pixel;
        mean[i] = chunk.mean[pixel];
    }
    draw_words(stream, firsts, attempt | OWN_BLOCK, padded, words);
#pragma omp simd
    for (int i = 0; i < padded; ++i) {
        const Proposal p = propose(mean[i], words[0][i], words[1][i], words[2][i], words[3][i]);
        count[i] = p.count;
        edge[i] = p.edge;
        v[i] = p.v;
        verdict[i] = p.accepted ? ACCEPTED : p.rejected ? REJECTED : OPEN;
    }
    int left = 0;
    for (int i = 0; i < number; ++i) {
        const int pixel = list[i];
        chunk.count[pixel] = count[i];
        open.mean[open.number] = mean[i];
        open.count[open.number] = count[i];
        open.edge[open.number] = edge[i];
        open.v[open.number] = v[i];
        open.pixel[open.number] = pixel;
        open.number += verdict[i] == OPEN;
        rest[left] = pixel;
        left += verdict[i] == REJECTED;
    }
    return left;
}

// Decide the open proposals; returns the number of those that are rejected, which are then in `rest`.
static int decide(OpenProposals &open, int *rest)
{
    alignas(64) int accepted[BLOCK];
    const int padded = rounded_up(open.number);
    for (int i = open.number; i < padded; ++i) {
        open.mean[i] = open.mean[0];
        open.count[i] = open.count[0];
        open.edge[i] = open.edge[0];
        open.v[i] = open.v[0];
    }
#pragma omp simd
    for (int i = 0; i < padded; ++i) accepted[i] = accepts(open.mean[i], open.count[i], open.edge[i], open.v[i]);
    int left = 0;
    for (int i = 0; i < open.number; ++i) {
        rest[left] = open.pixel[i];
        left += !accepted[i];
    }
    return left;
}

// `rejection_count` of poisson.cuh for the listed pixels.
static void reject(const RandomStream &stream, Chunk &chunk)
{
    for (unsigned attempt = 0; chunk.listed > 0; ++attempt) {
        OpenProposals open;
        open.number = 0;
        int left = 0;
        for (int start = 0; start < chunk.listed; start += COUNTERS) {
            const int number = chunk.listed - start < COUNTERS ? chunk.listed - start : COUNTERS;
            left += propose_all(stream, chunk, chunk.list + start, number, attempt, open, chunk.list + left);
        }
        chunk.listed = left + decide(open, chunk.list + left);
    }
}

ENTRY(draw_counts)(const CountsParams p, const MEAN *RESTRICT means, COUNT *RESTRICT counts)
{
    const PixelRange row = row_of_region(p, blockIdx.y);
    Chunk chunk;
    chunk.first = row.first / 4u * 4u + (unsigned)blockIdx.x * BLOCK;
    if (chunk.first >= row.end) return;
    const int begin = chunk.first < row.first ? (int)(row.first - chunk.first) : 0;
    const int end = row.end - chunk.first < BLOCK ? (int)(row.end - chunk.first) : BLOCK;
    const long long shift = (long long)chunk.first - p.origin;  // below 0 by up to 3, where no pixel is read
    for (int i = 0; i < begin; ++i) chunk.mean[i] = 0.0;
    for (int i = begin; i < end; ++i) chunk.mean[i] = usable_mean((double)means[shift + i]);
    for (int i = end; i < rounded_up(end); ++i) chunk.mean[i] = 0.0;

    chunk.listed = 0;
    for (int i = 0; i < end; i += 4 * COUNTERS) {
        draw_part(p.stream, chunk, i, rounded_up(end) - i < 4 * COUNTERS ? rounded_up(end) - i : 4 * COUNTERS);
    }
    reject(p.stream, chunk);
    for (int i = begin; i < end; ++i) store(chunk.count[i], counts[shift + i]);
}
HOST_ENTRY(draw_counts)
