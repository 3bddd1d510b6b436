// Sums over the samples of a tile, by pixel and by nearest reflection of a pixel: a `Sum` of kernels/sample_loop.cuh; for
// the CPU, in double precision. reflection_sums.cpp has what becomes of them.
//
// An orientation is added in two loops over the pixels. The first evaluates its samples, adds them to the image with the
// operations of kernels/image_sum.cuh, and keeps squared amplitudes. The second adds these to the rows of the reflections;
// it is left out where no term counts.
//
// Arrays in addition to those of kernels/inputs.cuh: crossings [orientation, CROSSING_COLUMNS] double, reach [h, k, l]
// double.
#ifndef CUBRAGG_TILE_REFLECTIONS_HPP
#define CUBRAGG_TILE_REFLECTIONS_HPP

#include "keyed_rows.hpp"
#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "sample.cuh"
#include "pixel_factors.cuh"
#include "sample_loop.cuh"
#include "image_sum.cuh"

// A reflection on a tile: F^2 [electrons^2], number of the last source with samples of it, spindle angle [rad] of the
// last one, and photons of a complete tile.
struct TileRow {
    double f2, phi, photons;
    int source;
};

// Its sums over samples in each pixel, of squared amplitudes; where factors are interpolated, of terms.
struct PixelColumns {
    // Of the current sub-pixel and source; times phi - the last phi, which changes more rarely than there are samples.
    alignas(64) double part[2][BLOCK];
    alignas(64) double total[4][BLOCK];  // with their factors: 1; fast, slow in the pixel, phi
    PixelColumns() {}  // columns are set to 0 when their row is used
};

// Rows of the current tile of a thread; the memory is kept from tile to tile.
struct TileRows {
    Keyed<TileRow> rows;
    std::vector<PixelColumns> columns;  // of each row, and of rows of former tiles
    std::vector<std::size_t> touched;   // rows with samples of the current sub-pixel and source; at last, with photons
};

// Columns of `crossings`: the scalar product of h, k, l with the first three is the speed out of the Ewald sphere (0
// in stills); spindle angle [rad].
#define CROSSING_PHI 3
#define CROSSING_COLUMNS 4

// Return the code of a reflection; `reach` is the largest index along each axis. reflection_sums.py: ReflectionCodes
DEVICE double clipped(double index, double reach) { return index < -reach ? -reach : index > reach ? reach : index; }
DEVICE double code_of(const double *reach, bool entering, double h, double k, double l)
{
    const double row = (clipped(h, reach[0]) + reach[0]) * (2.0 * reach[1] + 1.0) + clipped(k, reach[1]) + reach[1];
    return (row * (2.0 * reach[2] + 1.0) + clipped(l, reach[2]) + reach[2]) * 2.0 + (entering ? 1.0 : 0.0);
}
DEVICE bool enters(const double *crossing, double h, double k, double l)
{
    return crossing[0] * h + crossing[1] * k + crossing[2] * l < 0.0;
}

// Reflections of a window up to which all pixels are compared with each of them; up to which a table has their rows.
#define FEW_CELLS 8
#define MANY_CELLS 512
#define NO_ROW (~std::size_t(0))

// Whole indices that are nearest to samples of a tile: `first` and the next ones, `count` along each axis.
struct Window {
    double first[3], count[3], cells;

    bool is(const Window &other) const
    {
        return first[0] == other.first[0] && first[1] == other.first[1] && first[2] == other.first[2]
               && count[0] == other.count[0] && count[1] == other.count[1] && count[2] == other.count[2];
    }
};

// Middle and half width of the scattering vectors of a tile.
struct Box { double middle[3], half[3]; };

// Sums of the pixels of a tile, and of each of their reflections.
struct PixelSums {
    ImageSum image;
    double negligible;  // orientations whose terms all are at most this are not added to reflections
    alignas(64) double term[BLOCK], cell[BLOCK];  // of the current orientation
    alignas(64) double weight[BLOCK];  // factor of the terms of the current sub-pixel and source; 0 where none counts
    double in_fast, in_slow;  // position of the current sub-pixel in its pixel
    double reach[3];
    Window window;  // of the last orientation, and the rows of its cells, if `window_source` is the current source
    int window_source;
    std::size_t rows[FEW_CELLS];
    bool entering[FEW_CELLS];
    Box box;
    bool boxed;       // the box is that of the current sub-pixel and source
    bool once;        // there is one sub-pixel, source and layer
    bool sub_pixels;  // there are several
    bool turns;       // spindle angles differ
    int source;       // number of the current source, counted over all sub-pixels and layers
    const double *crossings;
    const Tile *tile;
    const PixelFactors *factors;
    TileRows *tile_rows;
};

DEVICE void begin(const Params &p, const Tile &tile, const PixelFactors &factors, const double *crossings,
                  const double *reach, bool turns, double negligible, TileRows &rows, PixelSums &sum)
{
    begin(p, sum.image);
    sum.negligible = negligible;
    for (int axis = 0; axis < 3; ++axis) sum.reach[axis] = reach[axis];
    sum.once = p.oversample == 1 && p.sources == 1 && p.layers == 1;
    sum.sub_pixels = p.oversample > 1, sum.turns = turns, sum.source = sum.window_source = 0;
    sum.crossings = crossings, sum.tile = &tile, sum.factors = &factors, sum.tile_rows = &rows;
}

DEVICE void start_source(const Params &p, const SampleIndex &at, const PixelFactors &factors, PixelSums &sum)
{
    start_source(p, at, factors, sum.image);
    sum.in_fast = (at.sub_fast + 0.5) / p.oversample;
    sum.in_slow = (at.sub_slow + 0.5) / p.oversample;
    sum.boxed = false;
    ++sum.source;
    FOR_T
    {
        sum.weight[t] = PHYSICAL ? at.source[WEIGHT] * factors.omega[t] * factors.polar[t] * factors.capture[t] : 1.0;
    }
}

DEVICE void start_chunk(PixelSums &sum) { start_chunk(sum.image); }

// The box of the scattering vectors of the current sub-pixel and source.
static const Box &box_of(const PixelFactors &factors, PixelSums &sum)
{
    Box &box = sum.box;
    if (sum.boxed) return box;
    for (int axis = 0; axis < 3; ++axis) {
        const double *q = factors.q[axis];
        double low = q[0], high = q[0];
        _Pragma("omp simd reduction(min : low) reduction(max : high)") for (int t = 0; t < BLOCK; ++t)
        {
            low = q[t] < low ? q[t] : low;
            high = q[t] > high ? q[t] : high;
        }
        box.middle[axis] = 0.5 * (low + high), box.half[axis] = 0.5 * (high - low);
    }
    sum.boxed = true;
    return box;
}

// The window of an orientation, wider than that of its samples by rounding at most; NaN or huge where a sample is.
static Window window_of(const Box &box, const Orientation &o)
{
    const double axes[3][3] = {{o.ax, o.ay, o.az}, {o.bx, o.by, o.bz}, {o.cx, o.cy, o.cz}};
    Window w;
    for (int i = 0; i < 3; ++i) {
        double middle = 0.0, half = 0.0, size = 0.0;
        for (int axis = 0; axis < 3; ++axis) {
            middle += axes[i][axis] * box.middle[axis];
            half += fabs_(axes[i][axis]) * box.half[axis];
            size += fabs_(axes[i][axis] * box.middle[axis]);
        }
        half += 1e-12 * (size + half);  // rounding of indices
        w.first[i] = ceil_(middle - half - 0.5);
        w.count[i] = ceil_(middle + half - 0.5) - w.first[i] + 1.0;
    }
    w.cells = w.count[0] * w.count[1] * w.count[2];
    return w;
}

// Begin to add terms of the current source to a row.
static void touch(PixelSums &sum, std::size_t row, TileRow &value, double phi)
{
    TileRows &tile_rows = *sum.tile_rows;
    PixelColumns &columns = tile_rows.columns[row];
    FOR_T columns.part[0][t] = 0.0;
    if (sum.turns) FOR_T columns.part[1][t] = 0.0;
    if (value.source == 0 && !sum.once) {
        FOR_T columns.total[0][t] = columns.total[1][t] = columns.total[2][t] = columns.total[3][t] = 0.0;
    }
    value.source = sum.source;
    value.phi = phi;
    if (!sum.once) tile_rows.touched.push_back(row);
}

// Prepare a row for samples at another spindle angle.
static void turn(PixelColumns &columns, TileRow &value, double phi)
{
    const double angle = value.phi - phi;
    FOR_T columns.part[1][t] += angle * columns.part[0][t];
    value.phi = phi;
}

// Return the row of a reflection, prepared for terms at a spindle angle; NO_ROW where they are all 0.
static std::size_t row_of(const Params &p, const Inputs &in, const Orientation &o, PixelSums &sum, bool entering,
                          double phi, double h, double k, double l)
{
    TileRows &tile_rows = *sum.tile_rows;
    // Cells of a window may have no samples.
    if (fabs_(h) > sum.reach[0] || fabs_(k) > sum.reach[1] || fabs_(l) > sum.reach[2]) return NO_ROW;
    const std::size_t before = tile_rows.rows.rows.size();
    const std::size_t row = tile_rows.rows.at((long long)code_of(sum.reach, entering, h, k, l));
    TileRow &value = tile_rows.rows.rows[row].value;
    if (row == before) {
        value.f2 = FACTORS == TRICUBIC ? 1.0 : f2_at(p, in.f2_grid, o, h, k, l);
        if (tile_rows.columns.size() <= row) tile_rows.columns.resize(row + 1);
    }
    if (value.f2 == 0.0) return NO_ROW;
    if (value.source != sum.source) touch(sum, row, value, phi);
    if (value.phi != phi) turn(tile_rows.columns[row], value, phi);
    return row;
}

// Add the terms of the pixels in each of some cells to the sums of the cell.
template <int COUNT>
static void add_cells(const PixelSums &sum, double *const (&photons)[FEW_CELLS], const double (&cells)[FEW_CELLS])
{
    FOR_T
    {
        const double term = sum.term[t], cell = sum.cell[t];
        for (int i = 0; i < COUNT; ++i) photons[i][t] += cell == cells[i] ? term : 0.0;
    }
}

// Add the terms of an orientation by comparing all pixels with each cell of its window.
static void add_few(const Params &p, const Inputs &in, const Orientation &o, const double *crossing, const Window &w,
                    PixelSums &sum)
{
    const double phi = crossing[CROSSING_PHI];
    const bool known = sum.window_source == sum.source && sum.window.is(w);
    double *photons[FEW_CELLS], cells[FEW_CELLS];
    std::size_t rows[FEW_CELLS];
    int cell = 0, count = 0;
    for (double h = w.first[0]; h < w.first[0] + w.count[0]; h += 1.0) {
        for (double k = w.first[1]; k < w.first[1] + w.count[1]; k += 1.0) {
            for (double l = w.first[2]; l < w.first[2] + w.count[2]; l += 1.0, ++cell) {
                const bool entering = enters(crossing, h, k, l);
                if (!(known && entering == sum.entering[cell])) {
                    sum.rows[cell] = row_of(p, in, o, sum, entering, phi, h, k, l);
                    sum.entering[cell] = entering;
                }
                if (sum.rows[cell] == NO_ROW) continue;
                rows[count] = sum.rows[cell], cells[count++] = cell;
            }
        }
    }
    sum.window = w, sum.window_source = sum.source;
    for (int i = 0; i < count; ++i) {
        PixelColumns &columns = sum.tile_rows->columns[rows[i]];
        TileRow &value = sum.tile_rows->rows.rows[rows[i]].value;
        if (value.phi != phi) turn(columns, value, phi);
        photons[i] = columns.part[0];
    }
    switch (count) {
    case 1: add_cells<1>(sum, photons, cells); break;
    case 2: add_cells<2>(sum, photons, cells); break;
    case 3: add_cells<3>(sum, photons, cells); break;
    case 4: add_cells<4>(sum, photons, cells); break;
    case 5: add_cells<5>(sum, photons, cells); break;
    case 6: add_cells<6>(sum, photons, cells); break;
    case 7: add_cells<7>(sum, photons, cells); break;
    case 8: add_cells<8>(sum, photons, cells); break;
    }
}

// Add the terms of an orientation pixel by pixel; the rows of the window's cells are looked up once.
static void add_many(const Params &p, const Inputs &in, const Orientation &o, const double *crossing, const Window &w,
                     PixelSums &sum)
{
    const int count_k = (int)w.count[1], count_l = (int)w.count[2];
    std::size_t rows[MANY_CELLS];
    bool known[MANY_CELLS] = {};
    for (int t = 0; t < BLOCK; ++t) {
        if (!(sum.cell[t] >= 0.0 && sum.cell[t] < w.cells)) continue;  // NaN
        const int cell = (int)sum.cell[t];
        if (!known[cell]) {
            const double h = w.first[0] + cell / (count_k * count_l), k = w.first[1] + cell / count_l % count_k,
                         l = w.first[2] + cell % count_l;
            rows[cell] = row_of(p, in, o, sum, enters(crossing, h, k, l), crossing[CROSSING_PHI], h, k, l);
            known[cell] = true;
        }
        if (rows[cell] != NO_ROW) sum.tile_rows->columns[rows[cell]].part[0][t] += sum.term[t];
    }
}

// Numbers of a window's cells from whole indices.
DEVICE double cell_of(const Window &w, double h, double k, double l)
{
    return ((h - w.first[0]) * w.count[1] + (k - w.first[1])) * w.count[2] + (l - w.first[2]);
}

// Nearest whole indices of the current sample of a pixel.
struct Whole { double h, k, l; };
DEVICE Whole whole_indices(const PixelFactors &factors, const Orientation &o, int t)
{
    const double x = factors.q[0][t], y = factors.q[1][t], z = factors.q[2][t];
    return {nearest_node(miller_index(o.ax, o.ay, o.az, o.start_h, x, y, z)).whole,
            nearest_node(miller_index(o.bx, o.by, o.bz, o.start_k, x, y, z)).whole,
            nearest_node(miller_index(o.cx, o.cy, o.cz, o.start_l, x, y, z)).whole};
}

// Add the terms of an orientation to the image, and keep them, with their cells if WITH_CELLS; returns the largest one.
template <bool WITH_CELLS>
DEVICE double add_to_image(const Params &p, const Inputs &in, const Tile &tile, const PixelFactors &factors,
                           const Orientation &o, const Window &w, PixelSums &sum)
{
    double largest = 0.0;
    _Pragma("omp simd reduction(max : largest)") for (int t = 0; t < BLOCK; ++t)
    {
        const Sample s = sample(p, in.f2_grid, o, factors.q[0][t], factors.q[1][t], factors.q[2][t],
                                tile.any_interpolates, tile.interpolates[t]);
        const double amplitude = s.amplitude.value, squared = amplitude * amplitude;
        sum.image.inner[t] = fma_(s.f2 * amplitude, amplitude, sum.image.inner[t]);
        const double term = FACTORS == TRICUBIC ? s.f2 * squared : squared;
        sum.term[t] = term;
        if (WITH_CELLS) sum.cell[t] = cell_of(w, s.h, s.k, s.l);
        largest = term > largest ? term : largest;
    }
    return largest;
}

// Add the terms of an orientation pixel by pixel, where its window has too many cells for a table.
static void add_pixels(const Params &p, const Inputs &in, const PixelFactors &factors, const Orientation &o,
                       const double *crossing, PixelSums &sum)
{
    for (int t = 0; t < BLOCK; ++t) {
        if (!(sum.term[t] > 0.0)) continue;
        const Whole at = whole_indices(factors, o, t);
        const std::size_t row = row_of(p, in, o, sum, enters(crossing, at.h, at.k, at.l), crossing[CROSSING_PHI], at.h,
                                       at.k, at.l);
        if (row != NO_ROW) sum.tile_rows->columns[row].part[0][t] += sum.term[t];
    }
}

DEVICE void add_terms(const Params &p, const Inputs &in, const Tile &tile, const PixelFactors &factors,
                      const Orientation &o, int number, PixelSums &sum)
{
    const double *crossing = sum.crossings + (long long)number * CROSSING_COLUMNS;
#ifdef FRINGES
    const Window w = window_of(box_of(factors, sum), o);
    if (!(add_to_image<true>(p, in, tile, factors, o, w, sum) > sum.negligible)) return;
#else
    // Mostly no term counts.
    if (!(add_to_image<false>(p, in, tile, factors, o, {}, sum) > sum.negligible)) return;
    const Window w = window_of(box_of(factors, sum), o);
    FOR_T
    {
        const Whole at = whole_indices(factors, o, t);
        sum.cell[t] = cell_of(w, at.h, at.k, at.l);
    }
#endif
    if (w.cells <= FEW_CELLS) {
        add_few(p, in, o, crossing, w, sum);
    } else if (w.cells <= MANY_CELLS) {
        add_many(p, in, o, crossing, w, sum);
    } else {
        add_pixels(p, in, factors, o, crossing, sum);
    }
}

DEVICE void finish_chunk(const Params &p, const SampleIndex &at, const PixelFactors &factors, PixelSums &sum)
{
    finish_chunk(p, at, factors, sum.image);
}

// Apply the factor of the current sub-pixel and source; of an only one it is left to `finish_tile`.
DEVICE void finish_source(PixelSums &sum)
{
    FOR_T sum.weight[t] = sum.factors->keep[t] && sum.tile->active[t] ? sum.weight[t] : 0.0;
    if (sum.once) return;
    for (const std::size_t row : sum.tile_rows->touched) {
        PixelColumns &columns = sum.tile_rows->columns[row];
        FOR_T
        {
            const double photons = sum.weight[t] * columns.part[0][t];
            columns.total[0][t] += photons;
            columns.total[1][t] += photons * sum.in_fast;
            columns.total[2][t] += photons * sum.in_slow;
        }
        if (!sum.turns) continue;
        turn(columns, sum.tile_rows->rows.rows[row].value, 0.0);
        FOR_T columns.total[3][t] += sum.weight[t] * columns.part[1][t];
    }
    sum.tile_rows->touched.clear();
}

#endif
