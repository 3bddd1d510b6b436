// Poisson deviates of an image on the CPU: the counts of kernels/counts.cu, drawn for vectors of pixels.
//
// A block is BLOCK pixels of a row of the region. Means below SEARCH_BELOW are searched for in groups of LANES pixels,
// in step; pixels with larger means are listed, and the list is drawn again and again without those that have a count.
//
// Mapping: a thread draws a block.
#include "portable.cuh"
#include "philox.cuh"
#include "poisson.cuh"
#include "counts.cuh"
#include "host_launch.hpp"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define LANES 8
#define LISTED 64

// Random words [4 i + word] of `count` counters, a multiple of 16, with the first words `firsts`.
#if defined(__AVX2__)

// g++ does not find the instruction for 32 x 32 bits, and takes six others. Here a vector has four counters, and 64 bits
// of a lane a word.
#define VECTORS 4

static void draw_words(const RandomStream &stream, const unsigned *firsts, unsigned draw, int count, unsigned *words)
{
    const __m256i multiplier[2] = {_mm256_set1_epi64x(0xD2511F53), _mm256_set1_epi64x(0xCD9E8D57)};
    for (int i = 0; i < count; i += 4 * VECTORS) {
        __m256i a[VECTORS], b[VECTORS], c[VECTORS], d[VECTORS];
        for (int v = 0; v < VECTORS; ++v) {
            a[v] = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(firsts + i + 4 * v)));
            b[v] = _mm256_set1_epi64x(draw);
            c[v] = _mm256_set1_epi64x(stream.effect);
            d[v] = _mm256_set1_epi64x(stream.shot);
        }
        unsigned low = stream.key_low, high = stream.key_high;
        for (int round = 0; round < PHILOX_ROUNDS; ++round) {
            const __m256i key[2] = {_mm256_set1_epi64x(low), _mm256_set1_epi64x(high)};
            for (int v = 0; v < VECTORS; ++v) {
                const __m256i first = _mm256_mul_epu32(a[v], multiplier[0]);
                const __m256i second = _mm256_mul_epu32(c[v], multiplier[1]);
                a[v] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(second, 32), b[v]), key[0]);
                c[v] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(first, 32), d[v]), key[1]);
                b[v] = second;
                d[v] = first;
            }
            low += 0x9E3779B9u;
            high += 0xBB67AE85u;
        }
        for (int v = 0; v < VECTORS; ++v) {
            const __m256i ab = _mm256_blend_epi32(a[v], _mm256_slli_epi64(b[v], 32), 0xAA);
            const __m256i cd = _mm256_blend_epi32(c[v], _mm256_slli_epi64(d[v], 32), 0xAA);
            const __m256i even = _mm256_unpacklo_epi64(ab, cd), odd = _mm256_unpackhi_epi64(ab, cd);
            __m256i *out = (__m256i *)(words + 4 * (i + 4 * v));
            _mm256_storeu_si256(out, _mm256_permute2x128_si256(even, odd, 0x20));
            _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(even, odd, 0x31));
        }
    }
}

#else

static void draw_words(const RandomStream &stream, const unsigned *firsts, unsigned draw, int count, unsigned *words)
{
#pragma omp simd
    for (int i = 0; i < count; ++i) {
        unsigned long long a = firsts[i], b = draw, c = stream.effect, d = stream.shot;
        philox(a, b, c, d, stream.key_low, stream.key_high);
        words[4 * i] = (unsigned)a;
        words[4 * i + 1] = (unsigned)b;
        words[4 * i + 2] = (unsigned)c;
        words[4 * i + 3] = (unsigned)d;
    }
}

#endif

struct Chunk {
    unsigned first;  // index of its first pixel, a multiple of 4
    alignas(64) double mean[BLOCK];
    alignas(64) double count[BLOCK];
    alignas(64) unsigned words[BLOCK];
    int list[BLOCK];  // pixels without a count, in the chunk
    int listed;
};

// `search_count` of poisson.cuh for LANES pixels. A mean of 0 gives 0.
static void search_lanes(const RandomStream &stream, Chunk &chunk, int begin)
{
    alignas(64) double mean[LANES], v[LANES], term[LANES], above[LANES], nearest[LANES], count[LANES];
#pragma omp simd
    for (int i = 0; i < LANES; ++i) {
        mean[i] = chunk.mean[begin + i] < SEARCH_BELOW ? chunk.mean[begin + i] : 0.0;
        const Tail tail = first_tail(mean[i]);
        term[i] = tail.term;
        above[i] = tail.above;
        v[i] = searched_deviate((double)chunk.words[begin + i] * TWO_TO_MINUS_32, above[i]);
        nearest[i] = 1.0;
        count[i] = 0.0;
    }
    int active = 1;
    for (int k = 1; active; ++k) {
        const double inverse = INVERSE[k];
        active = 0;
#pragma omp simd reduction(| : active)
        for (int i = 0; i < LANES; ++i) {
            const bool below = v[i] < above[i];
            active |= below;
            nearest[i] = below ? above[i] : nearest[i];
            count[i] = below ? (double)k : count[i];
            term[i] *= mean[i] * inverse;
            above[i] -= term[i];
        }
    }
    int open = 0;
#pragma omp simd reduction(| : open)
    for (int i = 0; i < LANES; ++i) {
        chunk.count[begin + i] = count[i];
        open |= !((double)chunk.words[begin + i] * TWO_TO_MINUS_32 + TWO_TO_MINUS_32 < nearest[i]);
    }
    for (int i = 0; open && i < LANES; ++i) {
        const unsigned index = chunk.first + (unsigned)(begin + i);
        chunk.count[begin + i] = search_count(stream, index, mean[i], chunk.words[begin + i]);
    }
}

// Proposals for up to LISTED pixels.
struct Proposals {
    alignas(64) double mean[LISTED], count[LISTED], edge[LISTED], v[LISTED];
    alignas(64) int verdict[LISTED];
};
enum { OPEN, ACCEPTED, REJECTED };

static void propose_all(const RandomStream &stream, const Chunk &chunk, const int *list, int number, unsigned attempt,
                        Proposals &p)
{
    alignas(64) unsigned firsts[LISTED], words[4 * LISTED];
    const int padded = (number + 15) / 16 * 16;
    for (int i = 0; i < padded; ++i) {
        const int pixel = list[i < number ? i : 0];
        firsts[i] = chunk.first + (unsigned)pixel;
        p.mean[i] = chunk.mean[pixel];
    }
    draw_words(stream, firsts, attempt | OWN_BLOCK, padded, words);
#pragma omp simd
    for (int i = 0; i < padded; ++i) {
        const Proposal one = propose(p.mean[i], words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
        p.count[i] = one.count;
        p.edge[i] = one.edge;
        p.v[i] = one.v;
        p.verdict[i] = one.accepted ? ACCEPTED : one.rejected ? REJECTED : OPEN;
    }
}

// Decide the open ones of the proposals.
static void decide(Proposals &p, int number)
{
    Proposals open;
    int place[LISTED], opened = 0;
    for (int i = 0; i < number; ++i) {
        open.mean[opened] = p.mean[i];
        open.count[opened] = p.count[i];
        open.edge[opened] = p.edge[i];
        open.v[opened] = p.v[i];
        place[opened] = i;
        opened += p.verdict[i] == OPEN;
    }
#pragma omp simd
    for (int i = 0; i < opened; ++i) {
        open.verdict[i] = accepts(open.mean[i], open.count[i], open.edge[i], open.v[i]) ? ACCEPTED : REJECTED;
    }
    for (int i = 0; i < opened; ++i) p.verdict[place[i]] = open.verdict[i];
}

// `rejection_count` of poisson.cuh for the listed pixels.
static void reject(const RandomStream &stream, Chunk &chunk)
{
    for (unsigned attempt = 0; chunk.listed > 0; ++attempt) {
        int left = 0;
        for (int start = 0; start < chunk.listed; start += LISTED) {
            Proposals p;
            const int number = chunk.listed - start < LISTED ? chunk.listed - start : LISTED;
            propose_all(stream, chunk, chunk.list + start, number, attempt, p);
            decide(p, number);
            for (int i = 0; i < number; ++i) {
                const int pixel = chunk.list[start + i];
                chunk.count[pixel] = p.count[i];
                chunk.list[left] = pixel;
                left += p.verdict[i] == REJECTED;
            }
        }
        chunk.listed = left;
    }
}

ENTRY(draw_counts)(const CountsParams p, const MEAN *RESTRICT means, COUNT *RESTRICT counts)
{
    const PixelRange row = row_of_region(p, blockIdx.y);
    Chunk chunk;
    chunk.first = row.first / 4 * 4 + (unsigned)blockIdx.x * BLOCK;
    if (chunk.first >= row.end) return;
    const int begin = chunk.first < row.first ? (int)(row.first - chunk.first) : 0;
    const int end = row.end - chunk.first < BLOCK ? (int)(row.end - chunk.first) : BLOCK;
    const int padded = (end + 63) / 64 * 64;

    unsigned quads[BLOCK / 4];
    for (int i = 0; i < padded / 4; ++i) quads[i] = chunk.first / 4 + (unsigned)i;
    draw_words(p.stream, quads, 0, padded / 4, chunk.words);
    for (int i = 0; i < padded; ++i) chunk.mean[i] = 0.0;
    for (int i = begin; i < end; ++i) chunk.mean[i] = usable_mean((double)means[chunk.first + (unsigned)i]);
    for (int i = 0; i < padded; i += LANES) search_lanes(p.stream, chunk, i);
    chunk.listed = 0;
    for (int i = begin; i < end; ++i) {
        chunk.list[chunk.listed] = i;
        chunk.listed += chunk.mean[i] >= SEARCH_BELOW;
    }
    reject(p.stream, chunk);
    for (int i = begin; i < end; ++i) store(chunk.count[i], counts[chunk.first + (unsigned)i]);
}
HOST_ENTRY(draw_counts)
