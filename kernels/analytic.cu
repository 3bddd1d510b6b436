// Entry points of the method analytic: expected photons of the spots of a panel or, with COUNTED, counts of these and of
// a background. specs/analytic.md
//
//   photons(pixel) = sum over spots of amplitude * factor(pixel) * mean over sub-pixels of profile(sample)
//
// profile and factor: spot_profile.cuh. Arrays: spots [n]; first [tiles + 1] and order: the spots of a tile are order[i],
// first[tile] <= i < first[tile + 1], ascending; mask uint8 and image float [slow - first_row, fast] of the panel.
//
// Thread mapping: block (x, y) owns the tile in column x and row y of the region, TILE_FAST x TILE_SLOW pixels. It takes
// its spots one after another: sub-pixels of the part that is in the tile (on a GPU of rows of equal length, which hold the
// outline of the spot) are distributed over the threads, then their columns, then pixels, which add them in their order. A pixel
// belongs to one block and adds its spots in the order of the list, so that its bits depend neither on tiles nor on
// threads. Pixels without a spot are not written: the caller fills the image with 0.
#include "portable.cuh"
#include "params.cuh"
#include "spot.cuh"
#include "spot_profile.cuh"
#include "spot_rows.cuh"
#if COUNTED
#include "epilogue.cuh"
#endif

// Samples that are computed before they are added to pixels, at least the most sub-pixels of a pixel; and their rows.
#define SAMPLES 1024
#define ROWS 256
// Items of a step of a vector loop: loops on the CPU have whole steps, as compilers evaluate the rest of a loop one by one.
#define AT_ONCE 16

// The part of a spot's box that is in a tile.
struct Overlap { int fast, slow, width, height; };

// Samples that are computed at once, row by row: on a GPU those of rows of equal length, where a thread finds its sample by a
// division; on the CPU a list of those that are summed.
struct Samples {
    int count;
#if defined(__CUDACC__)
    int length;
    float per_length;
#else
    int begin[ROWS];                           // of each row
    alignas(64) REAL fast[SAMPLES], slow[SAMPLES];  // position from the ray [pixel]
#endif
};

// What a block computes with: values of samples, factors of pixels, rows of samples, sums of columns of samples, and the
// photons of the tile.
struct Work { REAL *values, *factors; Row *summed; ACC *columns, *sums; Samples &samples; };

DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE int smaller(int a, int b) { return a < b ? a : b; }

DEVICE Overlap overlap_of(const Spot &spot, int first_fast, int first_slow)
{
    const int last_fast = first_fast + TILE_FAST - 1, last_slow = first_slow + TILE_SLOW - 1;
    const int fast = larger(spot.fast_min, first_fast), slow = larger(spot.slow_min, first_slow);
    Overlap part = {fast, slow, smaller(spot.fast_max, last_fast) - fast + 1, smaller(spot.slow_max, last_slow) - slow + 1};
    return part;
}

// Whole quotient of numbers below 2^22; in single precision, because vectors have no integer division.
DEVICE int whole_quotient(int number, float inverse) { return (int)((number + 0.5f) * inverse); }

DEVICE REAL middle_of(int subpixel, REAL edge, REAL offset) { return (subpixel + REAL(0.5)) * edge - offset; }

#if defined(__CUDACC__)

DEVICE void list_samples(Samples &samples, const Spot &, const Row *, int, int down, int longest, REAL)
{
    samples.count = down * longest;
    samples.length = longest;
    samples.per_length = 1.0f / longest;
}
DEVICE int whole_steps(int count) { return count; }
DEVICE int begin_of(const Samples &samples, int row) { return row * samples.length; }
DEVICE void place(const Samples &samples, const Spot &spot, const Row *summed, int slow_first, REAL edge, int i, REAL &f,
                  REAL &s)
{
    const int row = whole_quotient(i, samples.per_length), column = i - row * samples.length + summed[row].first;
    f = middle_of(column, edge, spot.offset[0]);
    s = middle_of(slow_first + row, edge, spot.offset[1]);
}

#else

DEVICE int whole_steps(int count) { return (int)((unsigned)(count + AT_ONCE - 1) & ~(AT_ONCE - 1u)); }
DEVICE void list_samples(Samples &samples, const Spot &spot, const Row *summed, int slow_first, int down, int, REAL edge)
{
    int count = 0;
    for (int row = 0; row < down; ++row) {
        const int first = summed[row].first, length = summed[row].last - first + 1;
        const REAL s = middle_of(slow_first + row, edge, spot.offset[1]), offset = spot.offset[0];
        REAL *fast = samples.fast + count, *slow = samples.slow + count;
        FOR_COUNT(i, length) fast[i] = middle_of(first + i, edge, offset), slow[i] = s;
        samples.begin[row] = count;
        count += length > 0 ? length : 0;
    }
    samples.count = whole_steps(count);
    for (int i = count; i < samples.count; ++i) samples.fast[i] = samples.slow[i] = REAL(0);
}
DEVICE int begin_of(const Samples &samples, int row) { return samples.begin[row]; }
DEVICE void place(const Samples &samples, const Spot &, const Row *, int, REAL, int i, REAL &f, REAL &s)
{
    f = samples.fast[i];
    s = samples.slow[i];
}

#endif

template <int ORDER, int PATH>
DEVICE void add_spot(const SpotParams &p, const Spot &spot, const Overlap &part, int first_fast, int first_slow,
                     const Work &work)
{
    REAL *values = work.values, *factors = work.factors;
    Row *summed = work.summed;
    const int n = spot.subpixels;
    // Rows of pixels at once, or part of one.
    const int fitting = smaller(SAMPLES / (n * smaller(spot.widest, part.width * n)), SAMPLES / (n * part.width));
    const int columns = fitting > 0 ? part.width : SAMPLES / (n * n), rows = smaller(larger(fitting, 1), ROWS / n);
    const REAL edge = REAL(1) / n;
    for (int top = 0; top < part.height; top += rows) {
        const int height = part.height - top < rows ? part.height - top : rows;
        for (int left = 0; left < part.width; left += columns) {
            const int width = part.width - left < columns ? part.width - left : columns;
            const int fast = part.fast + left - spot.fast_min, slow = part.slow + top - spot.slow_min;
            // The sub-pixels of these pixels that are in the outline of the spot.
            const int slow_first = larger(spot.slow_first, slow * n);
            const int slow_last = smaller(spot.slow_last, (slow + height) * n - 1);
            const int across = smaller(spot.widest, width * n), down = slow_last - slow_first + 1;
            FOR_COUNT(row, down)
            {
                const Row whole = summed_in_row(spot, slow_first + row);
                summed[row].first = larger(whole.first, fast * n);
                summed[row].last = smaller(whole.last, (fast + width) * n - 1);
            }
            SYNC();
            Samples &samples = work.samples;
            list_samples(samples, spot, summed, slow_first, down, across, edge);
            const int count = whole_steps(samples.count);
            FOR_COUNT(i, count)
            {
                READ_AGAIN();
                REAL f, s;
                place(samples, spot, summed, slow_first, edge, i, f, s);
                Moments angle;
                values[i] = profile<ORDER, PATH>(spot, f, s, angle);
            }
            FOR_COUNT(i, width * n * height) work.columns[i] = 0.0;
            SYNC();
            // Columns of sub-pixels in each row of pixels are added by the same thread, row by row.
            for (int row = 0; row < down; ++row) {
                READ_AGAIN();
                const Row own = summed[row];
                const REAL *value = values + begin_of(samples, row) - own.first + fast * n;
                ACC *column = work.columns + ((slow_first + row) / n - slow) * width * n;
                const int begin = own.first - fast * n, end = own.last - fast * n;
                FOR_RANGE(x, width * n, begin, end) column[x] += value[x];
            }
            SYNC();
            const float per_width = 1.0f / width;
            const int pixels = whole_steps(width * height);
            FOR_COUNT(pixel, pixels)
            {
                READ_AGAIN();
                const int row = whole_quotient(pixel, per_width), column = pixel - row * width;
                factors[pixel] = pixel_factor(p, spot, fast + column + REAL(0.5) - spot.offset[0],
                                              slow + row + REAL(0.5) - spot.offset[1]);
            }
            FOR_COUNT(pixel, width * height)
            {
                const int row = whole_quotient(pixel, per_width), column = pixel - row * width;
                READ_AGAIN();
                ACC total = 0.0;
                for (int x = 0; x < n; ++x) total += work.columns[pixel * n + x];
                work.sums[(part.slow + top + row - first_slow) * TILE_FAST + part.fast + left + column - first_fast]
                    += spot.amplitude * factors[pixel] * (edge * edge) * total;
            }
            SYNC();
        }
    }
}

template <int ORDER>
DEVICE void add_path(const SpotParams &p, const Spot &spot, const Overlap &part, int first_fast, int first_slow,
                     const Work &work)
{
    if (spot.path == NONE) add_spot<ORDER, NONE>(p, spot, part, first_fast, first_slow, work);
    else if (spot.path == SHORT) add_spot<ORDER, SHORT>(p, spot, part, first_fast, first_slow, work);
    else add_spot<ORDER, LONG>(p, spot, part, first_fast, first_slow, work);
}

// Add the part of a spot that is in a tile to the photons of the tile.
DEVICE void add_to_tile(const SpotParams &p, const Spot &spot, int first_fast, int first_slow, const Work &work)
{
    const Overlap part = overlap_of(spot, first_fast, first_slow);
    // Only a long path has an approximation for small changes.
    if (spot.bent == STRAIGHT) add_path<STRAIGHT>(p, spot, part, first_fast, first_slow, work);
    else if (spot.bent == BENT && spot.path == LONG)
        add_spot<BENT, LONG>(p, spot, part, first_fast, first_slow, work);
    else add_path<STRONGLY_BENT>(p, spot, part, first_fast, first_slow, work);
}

// Begin and end of the spots of a block's tile in `order`, and the tile's first pixel.
struct TileSpots { int begin, end, first_fast, first_slow; };

DEVICE TileSpots spots_of_tile(const SpotParams &p, const int *RESTRICT first)
{
    const int columns = (p.fast_max - p.fast_min) / TILE_FAST + 1;
    const int tile = (int)blockIdx.y * columns + (int)blockIdx.x;
    return {first[tile], first[tile + 1], p.fast_min + (int)blockIdx.x * TILE_FAST,
            p.slow_min + (int)blockIdx.y * TILE_SLOW};
}

// Add the spots of a tile; returns the photons of its pixels, in shared memory.
DEVICE void add_spots(const SpotParams &p, const Spot *spots, const TileSpots &tile, const int *RESTRICT order, ACC *sums)
{
    const int first_fast = tile.first_fast, first_slow = tile.first_slow;
    SHARED(REAL, values, SAMPLES);
    SHARED(REAL, factors, SAMPLES);
    SHARED(Row, summed, ROWS);
    SHARED(ACC, columns_of_samples, SAMPLES);
    Samples samples;
    const Work work = {values, factors, summed, columns_of_samples, sums, samples};
    FOR_COUNT(i, BLOCK) sums[i] = 0.0;  // read behind the barriers of the first spot
    for (int number = tile.begin; number < tile.end; ++number) {
        LOCAL(Spot) spot = spots[order[number]];
        add_to_tile(p, spot, first_fast, first_slow, work);
    }
}

#if COUNTED

// Counts of the region: `counts` and maps are images [slow, fast]. Pixels outside the region are not written.
//
// Tiles with spots and those without have a kernel each: the former needs many registers, and few of its blocks fit into a
// multiprocessor; most tiles have no spot, and count what the maps have.
DEVICE void store_count(const SpotParams &p, const unsigned char *RESTRICT mask, const Epilogue &e, const Maps &maps,
                        int fast, int slow, float photons, int *too_large, int *RESTRICT counts)
{
    if (fast > p.fast_max || slow > p.slow_max) return;
    const long long pixel = (long long)(slow - p.first_row) * p.fast_pixels + fast;
    const unsigned index = image_index(e, fast, slow);
    counts[index] = p.masked && mask[pixel] == 0 ? 0 : count_of(e, maps, index, photons, too_large);
}

ENTRY(count_spots)(const SpotParams p, const Spot *spots, const int *RESTRICT first, const int *RESTRICT order,
                   const unsigned char *RESTRICT mask, const Epilogue e, const float *RESTRICT background,
                   const float *RESTRICT direct, const float *RESTRICT passed, int *RESTRICT too_large,
                   int *RESTRICT counts)
{
    const TileSpots tile = spots_of_tile(p, first);
    if (tile.begin == tile.end) return;
    const Maps maps = {background, direct, passed};
    SHARED(ACC, sums, BLOCK);
    add_spots(p, spots, tile, order, sums);
    FOR_COUNT(i, BLOCK)
    {
        store_count(p, mask, e, maps, tile.first_fast + i % TILE_FAST, tile.first_slow + i / TILE_FAST, (float)sums[i],
                    too_large, counts);
    }
}

ENTRY_WITH(count_background, 768 / BLOCK)(
    const SpotParams p, const Spot *, const int *RESTRICT first, const int *RESTRICT, const unsigned char *RESTRICT mask,
    const Epilogue e, const float *RESTRICT background, const float *RESTRICT direct, const float *RESTRICT passed,
    int *RESTRICT too_large, int *RESTRICT counts)
{
    const TileSpots tile = spots_of_tile(p, first);
    if (tile.begin != tile.end) return;
    const Maps maps = {background, direct, passed};
    FOR_COUNT(i, BLOCK)
    {
        store_count(p, mask, e, maps, tile.first_fast + i % TILE_FAST, tile.first_slow + i / TILE_FAST, 0.0f, too_large,
                    counts);
    }
}

#else

// Store the photons of a tile; 0 where the mask is.
template <bool MASKED>
DEVICE void store_tile(const SpotParams &p, const TileSpots &tile, const unsigned char *RESTRICT mask, const ACC *sums,
                       float *RESTRICT image)
{
    const int width = smaller(TILE_FAST, p.fast_max - tile.first_fast + 1);
    const int height = smaller(TILE_SLOW, p.slow_max - tile.first_slow + 1);
    FOR_PIXELS(row, column, width, height)
    {
        const long long first = (long long)(tile.first_slow + row - p.first_row) * p.fast_pixels + tile.first_fast;
        const float photons = (float)sums[row * TILE_FAST + column];
        image[first + column] = MASKED && mask[first + column] == 0 ? 0.0f : photons;
    }
}

ENTRY(render_spots)(const SpotParams p, const Spot *spots, const int *RESTRICT first, const int *RESTRICT order,
                    const unsigned char *RESTRICT mask, float *RESTRICT image)
{
    const TileSpots tile = spots_of_tile(p, first);
    if (tile.begin == tile.end) return;
    SHARED(ACC, sums, BLOCK);
    add_spots(p, spots, tile, order, sums);
    if (p.masked) store_tile<true>(p, tile, mask, sums, image);
    else store_tile<false>(p, tile, mask, sums, image);
}

#endif
