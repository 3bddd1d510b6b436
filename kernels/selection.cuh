// The orientations that a tile's samples are summed over: all of them, or where CULLED those that can contribute.
// specs/culling.md
//
// Orientations come in chunks of CHUNK. A block votes on each of them once for a source, all samples of the tile
// together (culling.cuh), and remembers the votes as bits where they fit into its workspace; else it votes again for
// each sub-pixel and layer. In single precision the block prepares the selected orientations of a chunk for the tile's
// centre (lattice.cuh: orientation_at); all of a layer's stay for its sub-pixels where they fit.
// Thread mapping: the threads of a block share out the orientations of a chunk.
#ifndef CUBRAGG_SELECTION_CUH
#define CUBRAGG_SELECTION_CUH

#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "lattice.cuh"
#include "culling.cuh"
#include "pixel_factors.cuh"

// Of a workspace: 32-bit words of votes; prepared orientations.
#if !CULLED
#define PREPARED CHUNK
#elif defined(__CUDACC__)
#define VOTE_WORDS 512
#define PREPARED CHUNK
#else
#define VOTE_WORDS 8192
#define PREPARED 1024
#endif
#define CHUNK_WORDS (CHUNK / 32)

// What the threads of a block share.
struct Workspace {
#if CULLED
    unsigned votes[VOTE_WORDS];  // of the orientations, source after source; or of one chunk
    int list[CHUNK];             // the selected orientations of a chunk, from its start
    Patch directions;
#endif
#if PRECISION == SINGLE
    Orientation prepared[PREPARED];
#endif
};

struct Selection {
    Workspace &work;
    Region &region;  // of the source in turn, shared; as a field of the workspace it cost 8 % more instructions
#if CULLED
    int source_words;  // words of a source's votes
    bool remembered;   // the votes of all sources
#if PRECISION == SINGLE
    bool stays;  // a layer's prepared orientations serve all its sub-pixels
    int next;    // place of the next chunk's
#endif
#endif
#if PRECISION == SINGLE
    int first;  // place of the chunk's prepared orientations
#endif
};

#if CULLED

// Vote on the orientations of a chunk, for the source of a region.
DEVICE void vote_chunk(const Params &p, const Inputs &in, const Region &region, int start, unsigned *words)
{
    const int count = p.orientations - start < CHUNK ? p.orientations - start : CHUNK;
    VOTE(words, i, count, contributes(p, in.table, in.limits, in.axes, start + i, region));
}

// Vote on all orientations, for all sources; false where no term is left.
DEVICE bool vote(const Params &p, const Inputs &in, const Tile &tile, Selection &s)
{
    Workspace &work = s.work;
    ONE_THREAD work.directions = tile_directions(p, tile.first_fast, tile.first_slow);
    s.source_words = (p.orientations + CHUNK - 1) / CHUNK * CHUNK_WORDS;
    s.remembered = p.sources <= VOTE_WORDS / s.source_words;
    for (int number = 0; s.remembered && number < p.sources; ++number) {
        SYNC();
        ONE_THREAD s.region = tile_scattering(p, work.directions, in.sources + number * SOURCE_COLUMNS);
        SYNC();
        for (int start = 0; start < p.orientations; start += CHUNK) {
            vote_chunk(p, in, s.region, start, work.votes + number * s.source_words + start / CHUNK * CHUNK_WORDS);
        }
    }
    SYNC();
    unsigned any = s.remembered ? 0 : 1;
    for (int word = 0; any == 0 && word < p.sources * s.source_words; ++word) any |= work.votes[word];
    return any != 0;
}

#endif

// Select the tile's orientations. False where the image stays 0 without any: the factors of an empty sum leave that,
// but for a capture, which may be no number.
DEVICE bool select_orientations(const Params &p, const Inputs &in, const Tile &tile, Selection &s)
{
#if CULLED
    if (!vote(p, in, tile, s) && p.water == 0.0 && !p.absorbing) return false;
#if PRECISION == SINGLE
    // A cut by dmin could skip the preparation.
    int count = p.dmin > 0.0 || !s.remembered ? PREPARED + 1 : 0;
    for (int word = 0; count <= PREPARED && word < p.sources * s.source_words; ++word) {
        count += set_bits(s.work.votes[word]);
    }
    s.stays = count <= PREPARED;
#endif
#else
    (void)p, (void)in, (void)tile, (void)s;
#endif
    return true;
}

// Go on with another sub-pixel.
DEVICE void start_sub_pixel(Selection &s)
{
#if CULLED && PRECISION == SINGLE
    s.next = 0;
#else
    (void)s;
#endif
}

// List the selected orientations of a chunk, for a source; how many there are.
DEVICE int select_chunk(const Params &p, const Inputs &in, Selection &s, int number, int start)
{
#if CULLED
    Workspace &work = s.work;
    unsigned *words = work.votes;
    SYNC();
    if (s.remembered) {
        words += number * s.source_words + start / CHUNK * CHUNK_WORDS;
    } else {
        ONE_THREAD s.region = tile_scattering(p, work.directions, in.sources + number * SOURCE_COLUMNS);
        SYNC();
        vote_chunk(p, in, s.region, start, words);
        SYNC();
    }
    const int count = listed(words, work.list);
    SYNC();
    return count;
#else
    (void)in, (void)s, (void)number;
    return p.orientations - start < CHUNK ? p.orientations - start : CHUNK;
#endif
}

// Number of the chunk's i-th selected orientation.
DEVICE int selected(const Selection &s, int start, int i)
{
#if CULLED
    return start + s.work.list[i];
#else
    (void)s;
    return start + i;
#endif
}

// Prepare the selected orientations of a chunk for the tile's centre.
DEVICE void prepare_chunk(const Params &p, const Inputs &in, Selection &s, const Origin &origin, int sub, int start,
                          int count)
{
#if PRECISION == SINGLE
#if CULLED
    s.first = s.stays ? s.next : 0;
    s.next += count;
    const bool fresh = !s.stays || sub == 0;
#else
    (void)sub;
    s.first = 0;
    const bool fresh = true;
#endif
    SYNC();
    if (fresh) {
        FOR_COUNT(i, count)
        {
            s.work.prepared[s.first + i] = orientation_at(p, in.vectors + (long long)selected(s, start, i) * 9,
                                                          origin.q, origin.unit);
        }
    }
    SYNC();
#else
    (void)p, (void)in, (void)s, (void)origin, (void)sub, (void)start, (void)count;
#endif
}

// The chunk's i-th selected orientation.
DEVICE Orientation selected_orientation(const Params &p, const Inputs &in, const Selection &s, int start, int i)
{
#if PRECISION == SINGLE
    (void)p, (void)in, (void)start;
    return s.work.prepared[s.first + i];
#else
    return orientation_at(p, in.vectors + (long long)selected(s, start, i) * 9);
#endif
}

#endif
