// The tile of pixels that a block renders: its pixels, which of them are rendered, and which interpolate.
// specs/backends.md, specs/core-physics.md
//
//   fast = fast_min + column TILE_FAST + t % TILE_FAST                      [pixel of the panel]
//   slow = slow_min + (row + first_tile_row) TILE_SLOW + t / TILE_FAST
//
// Thread mapping: block (x, y) renders tile column x and tile row y + first_tile_row of the region, TILE_FAST x
// TILE_SLOW pixels; thread t is pixel (t % TILE_FAST, t / TILE_FAST) of it. Grid: (tile columns, tile rows of this
// launch). Every pixel belongs to one thread, and its sum runs in a fixed order: the same inputs give the same bits,
// whatever the division of the rows into launches.
#ifndef CUBRAGG_TILE_CUH
#define CUBRAGG_TILE_CUH

#include "portable.cuh"
#include "params.cuh"

struct Tile {
    int first_fast, first_slow;  // its first pixel
    bool any_interpolates;
    PRIV(int, fast);
    PRIV(int, slow);
    PRIV(FLAG, active);        // inside the region and not masked
    PRIV(FLAG, interpolates);  // structure factors are interpolated
};

DEVICE int region_width(const Params &p) { return p.fast_max - p.fast_min + 1; }

// Roi index of a pixel: its number in the region, row after row.
DEVICE int roi_index(const Params &p, int fast, int slow)
{
    return (slow - p.slow_min) * region_width(p) + fast - p.fast_min;
}

// Index of pixel first_fast + column of a row in the buffers of image and mask [slow - first_row, fast]. With this
// order of additions NVRTC computes the index twice; with another it keeps it in a register throughout and spills
// others.
DEVICE long long buffer_index(const Params &p, int slow, int first_fast, int column)
{
    return (long long)(slow - p.first_row) * p.fast_pixels + first_fast + column;
}

// Set the pixels of the block's tile; those inside the region are active.
DEVICE void set_pixels(const Params &p, Tile &tile)
{
    THREAD;
    tile.first_fast = p.fast_min + (int)blockIdx.x * TILE_FAST;
    tile.first_slow = p.slow_min + ((int)blockIdx.y + p.first_tile_row) * TILE_SLOW;
    FOR_T
    {
        L(tile.fast) = tile.first_fast + t % TILE_FAST;
        L(tile.slow) = tile.first_slow + t / TILE_FAST;
        L(tile.active) = L(tile.fast) <= p.fast_max && L(tile.slow) <= p.slow_max;
    }
}

// Deactivate masked pixels; returns whether any active pixel is left.
DEVICE bool apply_mask(const Params &p, const unsigned char *RESTRICT mask, Tile &tile)
{
    if (!p.masked) return true;
    FOR_ROWS
    {
        if (L_ROWS(tile.active)) {
            L_ROWS(tile.active) = mask[buffer_index(p, tile.first_slow + row, tile.first_fast, column)];
        }
    }
    return ANY(tile.active);
}

// Set which pixels interpolate: in nanobragg semantics those before the first one with a sample outside the grid.
DEVICE void set_interpolation(const Params &p, Tile &tile)
{
#if FACTORS == TRICUBIC
    // On a smaller grid every sample with an amplitude is outside.
    const bool fits = p.grid_size[0] >= 4 && p.grid_size[1] >= 4 && p.grid_size[2] >= 4;
    FOR_T
    {
        L(tile.interpolates) = fits && (PHYSICAL || roi_index(p, L(tile.fast), L(tile.slow)) < p.interpolated_to);
    }
    tile.any_interpolates = ANY(tile.interpolates);
#else
    (void)p;
    FOR_T L(tile.interpolates) = 0;
    tile.any_interpolates = false;
#endif
}

// Set up the tile of a block; false where none of its pixels is rendered.
DEVICE bool set_up_tile(const Params &p, const unsigned char *RESTRICT mask, Tile &tile)
{
    set_pixels(p, tile);
    if (!apply_mask(p, mask, tile)) return false;
    set_interpolation(p, tile);
    return true;
}

// Write a value of each active pixel into a buffer [slow - first_row, fast].
template <typename T>
DEVICE void write_tile(const Params &p, const Tile &tile, PRIV_ARGUMENT(T, values), T *RESTRICT buffer)
{
    FOR_ROWS
    {
        if (L_ROWS(tile.active)) {
            buffer[buffer_index(p, tile.first_slow + row, tile.first_fast, column)] = L_ROWS(values);
        }
    }
}

#endif
