// Orientations that the samples of a tile are summed over: all, or where CULLED those that can contribute.
// specs/culling.md
//
// Orientations are processed in chunks of CHUNK. A block tests each orientation once per source, against all samples of
// the tile together (culling.cuh), and keeps the results as bits where they fit into its workspace; otherwise it
// repeats the tests for each sub-pixel and layer. The block copies the cell axes of the selected orientations of a chunk
// to shared memory. In single precision it precomputes them for the tile's centre (lattice.cuh: orientation_at), and
// reuses those of a layer for all its sub-pixels where they fit.
// Thread mapping: the orientations of a chunk are distributed over the threads of a block.
#ifndef CUBRAGG_SELECTION_CUH
#define CUBRAGG_SELECTION_CUH

#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "lattice.cuh"
#include "culling.cuh"
#include "pixel_factors.cuh"

// Capacity of a workspace: 32-bit words of votes; prepared orientations.
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
// Whether cell axes are copied to shared memory, in mixed and double precision: a CPU has them in its first cache anyway.
#if defined(__CUDACC__) && PRECISION != SINGLE
#define STAGED 1
#else
#define STAGED 0
#endif

// Memory shared by the threads of a block.
struct Workspace {
#if CULLED
    unsigned votes[VOTE_WORDS];  // one bit per orientation, source after source; or for one chunk only
    int list[CHUNK];             // selected orientations of a chunk, numbered from its start
    Patch directions;
#endif
#if PRECISION == SINGLE
    Orientation prepared[PREPARED];
#elif STAGED
    CellAxes axes[CHUNK];  // of the selected orientations of a chunk
#endif
};

struct Selection {
    Workspace &work;
    Region &region;  // of the current source, shared; a field of the workspace would cost 8 % more instructions
#if CULLED
    int source_words;  // words of votes per source
    bool remembered;   // the votes of all sources are kept in the workspace
    int region_of;     // where they are not: the source of `region`, -1 before the first
#if PRECISION == SINGLE
    bool stays;  // prepared orientations of a layer are reused for all its sub-pixels
    int next;    // index of the next chunk's prepared orientations
#endif
#endif
#if PRECISION == SINGLE
    int first;  // index of the current chunk's prepared orientations
#endif
};

#if CULLED

// Test which orientations of a chunk can contribute, for the source of a region.
DEVICE void vote_chunk(const Params &p, const Inputs &in, const Region &region, int start, unsigned *words)
{
    const int count = p.orientations - start < CHUNK ? p.orientations - start : CHUNK;
    VOTE(words, i, count, contributes(p, in.f2_grid, in.f2_bounds, in.cull_axes, start + i, region));
}

// Test all orientations for all sources; false where no term is left.
DEVICE bool vote(const Params &p, const Inputs &in, const Tile &tile, Selection &s)
{
    Workspace &work = s.work;
    ONE_THREAD work.directions = tile_directions(p, tile.first_fast, tile.first_slow);
    s.source_words = (p.orientations + CHUNK - 1) / CHUNK * CHUNK_WORDS;
    s.remembered = p.sources <= VOTE_WORDS / s.source_words;
    s.region_of = -1;
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

// Select the tile's orientations. False where none contributes and the pixels therefore stay 0: factors on an empty sum
// keep it 0, except the capture fraction, which may be NaN.
DEVICE bool select_orientations(const Params &p, const Inputs &in, const Tile &tile, Selection &s)
{
#if CULLED
    if (!vote(p, in, tile, s) && p.water == 0.0 && !p.absorbing) return false;
#if PRECISION == SINGLE
    // Not with dmin: a sub-pixel that it cuts skips the preparation.
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

// Start the next sub-pixel.
DEVICE void start_sub_pixel(Selection &s)
{
#if CULLED && PRECISION == SINGLE
    s.next = 0;
#else
    (void)s;
#endif
}

// List the selected orientations of a chunk for a source; returns their number. The list is complete after the next
// barrier, that of `prepare_chunk`, and is read there only.
DEVICE int select_chunk(const Params &p, const Inputs &in, Selection &s, int number, int start)
{
#if CULLED
    Workspace &work = s.work;
    unsigned *words = work.votes;
    if (s.remembered) {
        words += number * s.source_words + start / CHUNK * CHUNK_WORDS;
    } else {
        if (s.region_of != number) {
            ONE_THREAD s.region = tile_scattering(p, work.directions, in.sources + number * SOURCE_COLUMNS);
            s.region_of = number;
            SYNC();
        }
        vote_chunk(p, in, s.region, start, words);
        SYNC();
    }
    return listed(words, work.list);
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

// Copy the selected orientations of a chunk, in single precision prepared for the tile's centre.
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
            s.work.prepared[s.first + i] = orientation_at(p, in.cell_axes + (long long)selected(s, start, i) * 9,
                                                          origin.q, origin.unit);
        }
    }
    SYNC();
#elif STAGED
    (void)p, (void)origin, (void)sub;
    SYNC();
    FOR_COUNT(i, count) s.work.axes[i] = cell_axes_at(in.cell_axes + (long long)selected(s, start, i) * 9);
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
#elif STAGED
    (void)in, (void)start;
    return orientation_at(p, s.work.axes[i].of);
#else
    return orientation_at(p, in.cell_axes + (long long)selected(s, start, i) * 9);
#endif
}

#endif
