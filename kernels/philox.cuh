// Counter-based random numbers: Philox 4x32-10. specs/noise.md
//
// The layout of counter and key, and the source, are in cubragg/philox.py, which has the same functions.
#ifndef CUBRAGG_PHILOX_CUH
#define CUBRAGG_PHILOX_CUH

#include "portable.cuh"

#define PHILOX_ROUNDS 10
#define PHILOX_MULTIPLIER_FIRST 0xD2511F53u
#define PHILOX_MULTIPLIER_SECOND 0xCD9E8D57u
#define PHILOX_WEYL_LOW 0x9E3779B9u
#define PHILOX_WEYL_HIGH 0xBB67AE85u
#define OWN_BLOCK 0x80000000u

// What all random numbers of an effect in an image have in common.
struct RandomStream {
    unsigned key_low, key_high;  // seed
    unsigned effect, shot;
};

// Replace a counter by its random words. Only the low 32 bits of the four numbers are the words: a 64-bit lane takes
// both halves of a product, and the high half is not used.
template <typename WORD>
DEVICE void philox(WORD &a, WORD &b, WORD &c, WORD &d, unsigned low, unsigned high)
{
    UNROLL
    for (int round = 0; round < PHILOX_ROUNDS; ++round) {
        const unsigned long long first = (unsigned long long)PHILOX_MULTIPLIER_FIRST * (unsigned)a, second = (unsigned long long)PHILOX_MULTIPLIER_SECOND * (unsigned)c;
        a = (WORD)(second >> 32) ^ b ^ low;
        b = (WORD)second;
        c = (WORD)(first >> 32) ^ d ^ high;
        d = (WORD)first;
        low += PHILOX_WEYL_LOW;
        high += PHILOX_WEYL_HIGH;
    }
}

struct RandomBlock { unsigned words[4]; };

DEVICE RandomBlock random_block(const RandomStream &stream, unsigned first, unsigned draw)
{
    RandomBlock block = {{first, draw, stream.effect, stream.shot}};
    philox(block.words[0], block.words[1], block.words[2], block.words[3], stream.key_low, stream.key_high);
    return block;
}

// One word of an index: `random_words` of philox.py.
DEVICE unsigned random_word(const RandomStream &stream, unsigned index, unsigned draw)
{
    const RandomBlock block = random_block(stream, index / 4u, draw);
    const unsigned low = index & 1u ? block.words[1] : block.words[0];
    const unsigned high = index & 1u ? block.words[3] : block.words[2];
    return index & 2u ? high : low;
}

// Four words of an index: `random_blocks` of philox.py.
DEVICE RandomBlock own_block(const RandomStream &stream, unsigned index, unsigned draw)
{
    return random_block(stream, index, draw | OWN_BLOCK);
}

#define TWO_TO_MINUS_31 4.656612873077392578125e-10
#define TWO_TO_MINUS_32 2.3283064365386962890625e-10
#define TWO_TO_MINUS_46 1.4210854715202004e-14
#define TWO_TO_MINUS_64 5.42101086242752217003726400434970855712890625e-20

// Uniform deviate in (0, 1] of two words: `uniform_of` of philox.py.
DEVICE double uniform_of(unsigned high, unsigned low)
{
    return (double)high * TWO_TO_MINUS_32 + ((double)low + 0.5) * TWO_TO_MINUS_64;
}

#endif
