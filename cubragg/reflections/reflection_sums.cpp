// Per-reflection sums of a panel instead of its image; for the CPU, in double precision, without running products.
// specs/truth.md
//
//   sums of a reflection = sum over pixels and samples of photons * (1; fast, slow, phi; fast, slow of the pixel's
//                          centre; pixel on an edge; fraction of other reflections in the pixel)
//   photons of a sample  = r_e^2 fluence / samples * w F^2 latt^2 P omega capture (symbols: kernels/image_sum.cuh)
//
// A sample is assigned to the nearest reflection, h0 = ceil(h - 1/2). Consecutive samples of a pixel mostly belong to
// the same reflection: `PixelSums` sums those, and adds a row to the tile's `KeyedSums` of pixels and reflections only
// when the reflection changes. When a tile is complete, the factors of its pixels are applied, and its rows are added
// to the reflections of its segment, a fixed run of tiles. Segments are summed in a fixed order, so that the result
// does not depend on the number of threads.
//
// Mapping: a thread processes the tiles of a segment one after another; a tile is a block of kernels/tile.cuh.
// Arrays in addition to those of kernels/inputs.cuh: crossings [orientation, CROSSING_COLUMNS] double, reach [h, k, l] double
// and edge uint8 [slow - first_row, fast].
#include <cstddef>
#include <vector>
#include "host_threads.hpp"
#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "sample.cuh"
#include "pixel_factors.cuh"
#include "selection.cuh"
#include "sample_loop.cuh"
#include "host_launch.hpp"

// Number of tiles in a segment.
#define SEGMENT_TILES (256 / TILE_FAST)

// Sums of a few columns by key, in the order of the first use of each key: a hash table with open addressing.
template <int COLUMNS> class KeyedSums {
public:
    struct Row {
        long long key;
        double sums[COLUMNS];
        std::size_t slot;
    };

    std::vector<Row> rows;

    // Return the row of a key; a new row is zero.
    Row &at(long long key)
    {
        if (last < rows.size() && rows[last].key == key) return rows[last];
        if (2 * rows.size() >= slots.size()) grow();
        std::size_t slot = home(key);
        while (slots[slot] != FREE && rows[slots[slot]].key != key) slot = (slot + 1) % slots.size();
        if (slots[slot] == FREE) {
            slots[slot] = rows.size();
            rows.push_back({key, {}, slot});
        }
        last = slots[slot];
        return rows[last];
    }

    void clear()
    {
        for (const Row &row : rows) slots[row.slot] = FREE;
        rows.clear();
    }

private:
    static constexpr std::size_t FREE = ~std::size_t(0);
    std::vector<std::size_t> slots;  // row numbers; the size is a power of 2
    std::size_t last = 0;            // row of the previous key
    int shift = 64;

    // Multiplicative hashing with the golden ratio spreads keys over all slots.
    std::size_t home(long long key) const { return (unsigned long long)key * 0x9E3779B97F4A7C15ull >> shift; }

    void grow()
    {
        shift = slots.empty() ? 64 - 6 : shift - 1;
        slots.assign(std::size_t(1) << (64 - shift), FREE);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            std::size_t slot = home(rows[i].key);
            while (slots[slot] != FREE) slot = (slot + 1) % slots.size();
            slots[slot] = i;
            rows[i].slot = slot;
        }
    }
};

// Columns: photons; photons times fast, slow in the pixel, and phi.
#define PIXEL_COLUMNS 4
typedef KeyedSums<PIXEL_COLUMNS> TileSums;
// Columns: photons; photons times fast, slow [pixel], phi [rad]; times fast and slow of the pixels' centres; photons in
// pixels on an edge; photons times the fraction of other reflections in their pixel.
#define REFLECTION_COLUMNS 8
typedef KeyedSums<REFLECTION_COLUMNS> Reflections;

// Photons of a reflection in a pixel.
struct PixelPhotons {
    long long code, pixel;
    double photons;
};

struct Segment {
    TileSums pixels;  // of the current tile
    Reflections reflections;
    std::vector<PixelPhotons> kept;
};

// Sums of all launches over a panel; created and read by the `panel_sums_` functions.
struct PanelSums {
    int columns;  // segments in a row of tiles
    std::vector<Segment> segments;
    Reflections total;
    double least;  // photons of a reflection in a pixel that are kept
    std::vector<PixelPhotons> kept;
};

// Columns of `crossings`: the scalar product of h, k, l with the first three is the speed out of the Ewald sphere (0
// in stills); spindle angle [rad].
#define CROSSING_PHI 3
#define CROSSING_COLUMNS 4

// Return the code of a reflection; `reach` is the largest index along each axis. reflection_sums.py: ReflectionCodes
DEVICE double clipped(double index, double reach) { return index < -reach ? -reach : index > reach ? reach : index; }
DEVICE double code_of(const double *reach, const double *crossing, double h, double k, double l)
{
    const double entering = crossing[0] * h + crossing[1] * k + crossing[2] * l < 0.0 ? 1.0 : 0.0;
    const double row = (clipped(h, reach[0]) + reach[0]) * (2.0 * reach[1] + 1.0) + clipped(k, reach[1]) + reach[1];
    return (row * (2.0 * reach[2] + 1.0) + clipped(l, reach[2]) + reach[2]) * 2.0 + entering;
}

// Number of 32-bit words with a bit for each pixel of a tile.
#define PIXEL_WORDS ((BLOCK + 31) / 32)

// Current reflection of each pixel of a tile, and its sums so far: a `Sum` of kernels/sample_loop.cuh.
struct PixelSums {
    alignas(64) double code[BLOCK];
    alignas(64) double sums[PIXEL_COLUMNS][BLOCK];
    alignas(64) double part[2][BLOCK];  // terms of the current sub-pixel and source, and terms times phi; not yet in `sums`
    alignas(64) double term[BLOCK], next[BLOCK];
    alignas(64) FLAG changes[PIXEL_WORDS * 32];
    alignas(64) double factor[BLOCK];  // common factor of the terms of the current sub-pixel and source
    double in_fast, in_slow;           // position of the current sub-pixel in its pixel
    double reach[3];
    const double *crossings;
    TileSums *finished;
};

DEVICE void begin(PixelSums &sum)
{
    FOR_T
    {
        sum.code[t] = -1.0;
        sum.sums[0][t] = sum.sums[1][t] = sum.sums[2][t] = sum.sums[3][t] = 0.0;
        sum.part[0][t] = sum.part[1][t] = 0.0;
    }
    for (FLAG &changes : sum.changes) changes = 0;
}

// Add the part of the current sub-pixel and source to a pixel's sums.
DEVICE void add_part(PixelSums &sum, int t)
{
    const double photons = sum.factor[t] * sum.part[0][t];
    sum.sums[0][t] += photons;
    sum.sums[1][t] += photons * sum.in_fast;
    sum.sums[2][t] += photons * sum.in_slow;
    sum.sums[3][t] += sum.factor[t] * sum.part[1][t];
    sum.part[0][t] = sum.part[1][t] = 0.0;
}

// Add a pixel's sums to the row of the pixel and its reflection.
DEVICE void finish_reflection(PixelSums &sum, int t)
{
    if (!(sum.sums[0][t] > 0.0)) return;
    double *sums = sum.finished->at((long long)sum.code[t] * BLOCK + t).sums;
    for (int column = 0; column < PIXEL_COLUMNS; ++column) sums[column] += sum.sums[column][t];
}

// Start the next reflection in the pixels whose last term belongs to another one than before.
static void change_reflections(PixelSums &sum, double phi)
{
    for (int word = 0; word < PIXEL_WORDS; ++word) {
        for (unsigned bits = ballot(sum.changes + 32 * word); bits != 0; bits &= bits - 1) {
            const int t = 32 * word + __builtin_ctz(bits);
            add_part(sum, t);
            finish_reflection(sum, t);
            for (int column = 0; column < PIXEL_COLUMNS; ++column) sum.sums[column][t] = 0.0;
            sum.code[t] = sum.next[t];
            sum.part[0][t] = sum.term[t];
            sum.part[1][t] = sum.term[t] * phi;
        }
    }
}

DEVICE void start_source(const Params &p, const SampleIndex &at, const PixelFactors &factors, PixelSums &sum)
{
    sum.in_fast = (at.sub_fast + 0.5) / p.oversample;
    sum.in_slow = (at.sub_slow + 0.5) / p.oversample;
    FOR_T
    {
        sum.factor[t] = PHYSICAL ? at.source[WEIGHT] * factors.omega[t] * factors.polar[t] * factors.capture[t] : 1.0;
    }
}

DEVICE void start_chunk(PixelSums &) {}

DEVICE void add_terms(const Params &p, const Inputs &in, const Tile &tile, const PixelFactors &factors,
                      const Orientation &o, int number, PixelSums &sum)
{
    const double *row = sum.crossings + (long long)number * CROSSING_COLUMNS;
    const double crossing[3] = {row[0], row[1], row[2]}, phi = row[CROSSING_PHI];
    FOR_T
    {
        const Sample s = sample(p, in.f2_grid, o, factors.q[0][t], factors.q[1][t], factors.q[2][t],
                                tile.any_interpolates, tile.interpolates[t]);
        const double any_term = s.f2 * s.amplitude.value * s.amplitude.value;
        const double term = factors.keep[t] && tile.active[t] ? any_term : 0.0;
        const double code = code_of(sum.reach, crossing, s.h, s.k, s.l);
        const bool changes = term > 0.0 && code != sum.code[t];
        const double same = changes ? 0.0 : term;
        sum.term[t] = term, sum.next[t] = code, sum.changes[t] = changes;
        sum.part[0][t] += same;
        sum.part[1][t] += same * phi;
    }
    change_reflections(sum, phi);
}

DEVICE void finish_chunk(const Params &, const SampleIndex &, const PixelFactors &, PixelSums &) {}

DEVICE void finish_source(PixelSums &sum)
{
    FOR_T add_part(sum, t);
}

// Add the rows of a complete tile to the reflections of its segment; photons are terms times `scale` of their pixel.
static void finish_tile(const Params &p, Segment &segment, const double *scale, const unsigned char *edge,
                        double least, int first_fast, int first_slow)
{
    double total[BLOCK] = {};
    for (const TileSums::Row &row : segment.pixels.rows) total[row.key % BLOCK] += row.sums[0];
    for (const TileSums::Row &row : segment.pixels.rows) {
        const int t = (int)(row.key % BLOCK);
        const int fast = first_fast + t % TILE_FAST, slow = first_slow + t / TILE_FAST;
        const double in_pixel = total[t] * scale[t], photons = row.sums[0] * scale[t];
        const long long pixel = buffer_index(p, slow, fast, 0);
        const bool on_edge = edge[pixel] != 0;
        double *sums = segment.reflections.at(row.key / BLOCK).sums;
        sums[0] += photons;
        sums[1] += photons * fast + row.sums[1] * scale[t];
        sums[2] += photons * slow + row.sums[2] * scale[t];
        sums[3] += row.sums[3] * scale[t];
        sums[4] += photons * (fast + 0.5);
        sums[5] += photons * (slow + 0.5);
        sums[6] += on_edge ? photons : 0.0;
        sums[7] += in_pixel > 0.0 ? photons * ((in_pixel - photons) / in_pixel) : 0.0;
        if (photons >= least) segment.kept.push_back({row.key / BLOCK, pixel, photons});
    }
    segment.pixels.clear();
}

ENTRY(reflection_sums)(const Params p, const REAL *RESTRICT f2_grid, const double *RESTRICT cell_axes,
                       const double *RESTRICT sources, const unsigned char *RESTRICT mask,
                       const float *RESTRICT f2_bounds, const float *RESTRICT cull_axes,
                       const double *RESTRICT crossings, const double *RESTRICT reach,
                       const unsigned char *RESTRICT edge, PanelSums *sums)
{
    const Inputs in = {f2_grid, cell_axes, sources, f2_bounds, cull_axes};
    Tile tile;
    if (!set_up_tile(p, mask, tile)) return;
    SHARED(Workspace, workspace, 1);
    SHARED(Region, region, 1);
    Selection selection = {workspace[0], region[0]};
    if (!select_orientations(p, in, tile, selection)) return;

    Segment &segment = sums->segments[(std::size_t)blockIdx.y * sums->columns + blockIdx.x / SEGMENT_TILES];
    PixelFactors factors;
    PixelSums sum;
    sum.crossings = crossings, sum.finished = &segment.pixels;
    for (int axis = 0; axis < 3; ++axis) sum.reach[axis] = reach[axis];
    begin(p, factors);
    begin(sum);
    add_samples(p, in, tile, selection, factors, sum);

    alignas(64) double scale[BLOCK];
    FOR_T scale[t] = p.scale * (PHYSICAL ? 1.0 : factors.capture[t] * factors.polar[t] * factors.omega[t]);
    for (int t = 0; t < BLOCK; ++t) finish_reflection(sum, t);
    finish_tile(p, segment, scale, edge, sums->least, tile.first_fast, tile.first_slow);
}

static void add_segments(PanelSums &panel)
{
    for (const Segment &segment : panel.segments) {
        for (const Reflections::Row &row : segment.reflections.rows) {
            double *sums = panel.total.at(row.key).sums;
            for (int column = 0; column < REFLECTION_COLUMNS; ++column) sums[column] += row.sums[column];
        }
        panel.kept.insert(panel.kept.end(), segment.kept.begin(), segment.kept.end());
    }
    panel.segments.clear();
}

// Like `launch`, but a thread processes whole segments; the last of `arguments` is the PanelSums.
extern "C" void host_reflection_sums(int columns, int rows, int threads, void **arguments)
{
    PanelSums &sums = **static_cast<PanelSums **>(arguments[argument_count(reflection_sums) - 1]);
    sums.columns = (columns + SEGMENT_TILES - 1) / SEGMENT_TILES;
    sums.segments.resize((std::size_t)sums.columns * rows);
    const long long segments = (long long)sums.segments.size();
    run_parallel(segments, threads, [&](long long number) {
        const int first = (int)(number % sums.columns) * SEGMENT_TILES;
        for (int column = first; column < columns && column < first + SEGMENT_TILES; ++column) {
            run_block(reflection_sums, column, (int)(number / sums.columns), arguments);
        }
        sums.segments[number].pixels = TileSums();
    });
    add_segments(sums);
}

extern "C" PanelSums *panel_sums_new(double least)
{
    PanelSums *sums = new PanelSums();
    sums->least = least;
    return sums;
}
extern "C" long long panel_sums_size(const PanelSums *sums) { return (long long)sums->total.rows.size(); }
extern "C" void panel_sums_read(const PanelSums *sums, long long *codes, double *values)
{
    for (const Reflections::Row &row : sums->total.rows) {
        *codes++ = row.key;
        for (double sum : row.sums) *values++ = sum;
    }
}
extern "C" long long panel_sums_kept(const PanelSums *sums) { return (long long)sums->kept.size(); }
extern "C" void panel_sums_read_kept(const PanelSums *sums, long long *codes, long long *pixels, double *photons)
{
    for (const PixelPhotons &one : sums->kept) {
        *codes++ = one.code;
        *pixels++ = one.pixel;
        *photons++ = one.photons;
    }
}
extern "C" void panel_sums_delete(PanelSums *sums) { delete sums; }
