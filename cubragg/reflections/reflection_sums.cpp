// The image of a panel and its per-reflection sums, in one pass; for the CPU, in double precision, without running
// products. specs/truth.md
//
// Pixels of the image have the bits of kernels/render.cu.
//   sums of a reflection = sum over pixels and samples of photons * (1; fast, slow, phi; fast, slow of the pixel's
//                          centre; pixel on an edge; fraction of other reflections in the pixel)
//   photons of a sample  = r_e^2 fluence / samples * w F^2 latt^2 P omega capture (symbols: kernels/image_sum.cuh)
//
// A sample is assigned to the nearest reflection, h0 = ceil(h - 1/2). The samples that a tile has of an orientation
// belong to a few reflections, mostly 1 to 8: their `Window`. Each has a row of the tile, with a sum for each pixel, to
// which the squared amplitudes of its samples are added: F^2 is the same for all and is multiplied at the end. When a
// tile is complete, the factors of its pixels are applied, and its rows are added to the reflections of its segment, a
// fixed run of tiles. Segments are summed in a fixed order, so that the result does not depend on the number of threads.
//
// Mapping: a thread processes the tiles of a segment one after another; a tile is a block of kernels/tile.cuh.
// Arrays in addition to those of kernels/inputs.cuh and tile_reflections.hpp: edge uint8 [slow - first_row, fast]; passed
// float [slow - first_row, fast], the fraction of the photons that a beam stop lets pass, of which the image is free; flags
// uint8 [2]; image float [slow - first_row, fast], filled with 0 by the caller.
#include <cstddef>
#include <vector>
#include "host_threads.hpp"
#include "keyed_rows.hpp"
#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "sample.cuh"
#include "pixel_factors.cuh"
#include "selection.cuh"
#include "sample_loop.cuh"
#include "tile_reflections.hpp"
#include "host_launch.hpp"

// Flags: whether spindle angles differ; whether there is a beam stop, so that `passed` has an element for each pixel.
#define TURNS 0
#define SHADED 1

// Number of tiles in a segment.
#define SEGMENT_TILES (256 / TILE_FAST)

// Columns: photons; photons times fast, slow [pixel], phi [rad]; times fast and slow of the pixels' centres; photons in
// pixels on an edge; photons times the fraction of other reflections in their pixel.
#define REFLECTION_COLUMNS 8
struct ReflectionRow { double sums[REFLECTION_COLUMNS]; };
typedef Keyed<ReflectionRow> Reflections;

// Photons of a reflection in a pixel.
struct PixelPhotons {
    long long code, pixel;
    double photons;
};

struct Segment {
    Reflections reflections;
    std::vector<PixelPhotons> kept;
};

// Sums of all launches over a panel; created and read by the `panel_sums_` functions.
struct PanelSums {
    int columns;  // segments in a row of tiles
    std::vector<Segment> segments;
    Reflections total;
    double least;       // photons of a reflection in a pixel that are kept
    double negligible;  // as in PixelSums
    std::vector<PixelPhotons> kept;
};

// Above it no photons are kept pixel by pixel.
#define LARGEST 1.7976931348623157e308

// Factors of the pixels of a complete tile, and the sums that its reflections share.
struct TileFactors {
    alignas(64) double weight[BLOCK];    // of sums of squared amplitudes times F^2
    alignas(64) double in_pixel[BLOCK];  // photons of all reflections
    alignas(64) double share[BLOCK];     // 1 / in_pixel; 0 without photons
    alignas(64) double edge[BLOCK];
    bool any_edge;
};

DEVICE double weighted(const double *column, const double *weight)
{
    double found = 0.0;
    _Pragma("omp simd reduction(+ : found)") for (int t = 0; t < BLOCK; ++t) found += column[t] * weight[t];
    return found;
}

// Add a row, whose photons are complete, to the sums of its reflection.
static void finish_row(const PixelSums &sum, const PixelColumns &columns, const TileFactors &factors, const Tile &tile,
                       const Keyed<TileRow>::Row &row, Reflections &reflections)
{
    const double *photons = sum.once ? columns.part[0] : columns.total[0];
    const double all = row.value.photons;
    // Of each column of the tile: photons, photons times row, photons times the fraction of others.
    alignas(64) double in_column[TILE_FAST] = {}, at_row[TILE_FAST] = {}, of_others[TILE_FAST] = {};
    for (int first = 0, number = 0; first < BLOCK; first += TILE_FAST, ++number) {
        _Pragma("omp simd") for (int column = 0; column < TILE_FAST; ++column)
        {
            const int t = first + column;
            in_column[column] += photons[t];
            at_row[column] += photons[t] * number;
            of_others[column] += photons[t] * ((factors.in_pixel[t] - photons[t]) * factors.share[t]);
        }
    }
    double fast = 0.0, slow = 0.0, foreign = 0.0;
    for (int column = 0; column < TILE_FAST; ++column) {
        fast += in_column[column] * column, slow += at_row[column], foreign += of_others[column];
    }
    double in_fast = 0.5 * all, in_slow = 0.5 * all, phi = all * sum.crossings[CROSSING_PHI];
    if (sum.sub_pixels) {
        in_fast = row.value.f2 * weighted(columns.total[1], factors.weight);
        in_slow = row.value.f2 * weighted(columns.total[2], factors.weight);
    }
    if (sum.turns) phi = row.value.f2 * weighted(sum.once ? columns.part[1] : columns.total[3], factors.weight);
    fast += tile.first_fast * all, slow += tile.first_slow * all;
    const double found[REFLECTION_COLUMNS] = {
        all, fast + in_fast, slow + in_slow, phi, fast + 0.5 * all, slow + 0.5 * all,
        factors.any_edge ? weighted(photons, factors.edge) : 0.0, foreign};
    double *sums = reflections.rows[reflections.at(row.key)].value.sums;
    for (int column = 0; column < REFLECTION_COLUMNS; ++column) sums[column] += found[column];
}

// Keep the photons of a complete row in the pixels where they are at least `least`.
static void keep_pixels(const Params &p, const PixelSums &sum, const PixelColumns &columns, const Tile &tile,
                        long long code, double least, Segment &segment)
{
    const double *photons = sum.once ? columns.part[0] : columns.total[0];
    for (int t = 0; t < BLOCK; ++t) {
        if (photons[t] > 0.0 && photons[t] >= least) {
            segment.kept.push_back({code, buffer_index(p, tile.slow[t], tile.fast[t], 0), photons[t]});
        }
    }
}

// Apply the factors of its pixels to a row; returns whether it has photons.
static bool weigh_row(PixelSums &sum, PixelColumns &columns, TileFactors &factors, TileRow &row)
{
    if (row.source == 0) return false;
    if (sum.once && sum.turns) turn(columns, row, 0.0);
    double *photons = sum.once ? columns.part[0] : columns.total[0];
    const double f2 = row.f2;
    double all = 0.0;
    _Pragma("omp simd reduction(+ : all)") for (int t = 0; t < BLOCK; ++t)
    {
        photons[t] *= factors.weight[t] * f2;
        factors.in_pixel[t] += photons[t];
        all += photons[t];
    }
    row.photons = all;
    return all > 0.0;
}

// Find the pixels of a tile on an edge; few tiles have any.
static void find_edge(const Params &p, const Tile &tile, const unsigned char *edge, TileFactors &factors)
{
    const int width = p.fast_max - tile.first_fast + 1, columns = width < TILE_FAST ? width : TILE_FAST;
    const int height = p.slow_max - tile.first_slow + 1, rows = height < TILE_SLOW ? height : TILE_SLOW;
    unsigned char any = 0;
    for (int row = 0; row < rows; ++row) {
        const unsigned char *first = edge + buffer_index(p, tile.first_slow + row, tile.first_fast, 0);
        if (columns == TILE_FAST) {
            for (int column = 0; column < TILE_FAST; ++column) any |= first[column];
        } else {
            for (int column = 0; column < columns; ++column) any |= first[column];
        }
    }
    factors.any_edge = any != 0;
    for (int t = 0; factors.any_edge && t < BLOCK; ++t) {
        factors.edge[t] = tile.active[t] && edge[buffer_index(p, tile.slow[t], tile.fast[t], 0)] != 0 ? 1.0 : 0.0;
    }
}

// Apply the factors of the pixels of a complete tile, and add its rows to the reflections of its segment.
static void finish_tile(const Params &p, const Tile &tile, PixelSums &sum, const double *scale,
                        const unsigned char *edge, double least, Segment &segment)
{
    TileRows &tile_rows = *sum.tile_rows;
    auto &rows = tile_rows.rows.rows;
    if (rows.empty()) return;
    TileFactors factors;
    FOR_T
    {
        factors.weight[t] = sum.once ? scale[t] * sum.weight[t] : scale[t];
        factors.in_pixel[t] = 0.0;
    }
    tile_rows.touched.clear();
    for (std::size_t row = 0; row < rows.size(); ++row) {
        if (weigh_row(sum, tile_rows.columns[row], factors, rows[row].value)) tile_rows.touched.push_back(row);
    }
    FOR_T factors.share[t] = factors.in_pixel[t] > 0.0 ? 1.0 / factors.in_pixel[t] : 0.0;
    find_edge(p, tile, edge, factors);
    for (const std::size_t row : tile_rows.touched) {
        finish_row(sum, tile_rows.columns[row], factors, tile, rows[row], segment.reflections);
        if (least <= LARGEST) keep_pixels(p, sum, tile_rows.columns[row], tile, rows[row].key, least, segment);
    }
    tile_rows.touched.clear();
    tile_rows.rows.clear();
}

ENTRY(reflection_sums)(const Params p, const REAL *RESTRICT f2_grid, const double *RESTRICT cell_axes,
                       const double *RESTRICT sources, const unsigned char *RESTRICT mask,
                       const float *RESTRICT f2_bounds, const float *RESTRICT cull_axes,
                       const double *RESTRICT crossings, const double *RESTRICT reach,
                       const unsigned char *RESTRICT edge, const float *RESTRICT passed,
                       const unsigned char *RESTRICT flags, float *RESTRICT image, PanelSums *sums)
{
    const Inputs in = {f2_grid, cell_axes, sources, f2_bounds, cull_axes};
    Tile tile;
    if (!set_up_tile(p, mask, tile)) return;
    SHARED(Workspace, workspace, 1);
    SHARED(Region, region, 1);
    Selection selection = {workspace[0], region[0]};
    if (!select_orientations(p, in, tile, selection)) return;

    static thread_local TileRows rows;
    PixelFactors factors;
    PixelSums sum;
    begin(p, factors);
    begin(p, tile, factors, crossings, reach, flags[TURNS] != 0, sums->negligible, rows, sum);
    add_samples(p, in, tile, selection, factors, sum);
    PRIV(float, photons);
    expected_photons(p, factors, sum.image, photons);
    write_tile(p, tile, photons, image);

    alignas(64) double scale[BLOCK];
    FOR_T scale[t] = p.scale * (PHYSICAL ? 1.0 : factors.capture[t] * factors.polar[t] * factors.omega[t]);
    if (flags[SHADED]) {
        for (int t = 0; t < BLOCK; ++t) {
            if (tile.active[t]) scale[t] *= passed[buffer_index(p, tile.slow[t], tile.fast[t], 0)];
        }
    }
    finish_tile(p, tile, sum, scale, edge, sums->least,
                sums->segments[(std::size_t)blockIdx.y * sums->columns + blockIdx.x / SEGMENT_TILES]);
}

static void add_segments(PanelSums &panel)
{
    for (const Segment &segment : panel.segments) {
        for (const Reflections::Row &row : segment.reflections.rows) {
            double *sums = panel.total.rows[panel.total.at(row.key)].value.sums;
            for (int column = 0; column < REFLECTION_COLUMNS; ++column) sums[column] += row.value.sums[column];
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
    });
    add_segments(sums);
}

extern "C" PanelSums *panel_sums_new(double least, double negligible)
{
    PanelSums *sums = new PanelSums();
    sums->least = least, sums->negligible = negligible;
    return sums;
}
extern "C" long long panel_sums_size(const PanelSums *sums) { return (long long)sums->total.rows.size(); }
extern "C" void panel_sums_read(const PanelSums *sums, long long *codes, double *values)
{
    for (const Reflections::Row &row : sums->total.rows) {
        *codes++ = row.key;
        for (double sum : row.value.sums) *values++ = sum;
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
