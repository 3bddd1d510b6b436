// Entry points: the image or, with COUNTED, its counts; and the search for the pixel that stops interpolation.
// specs/core-physics.md, specs/physical.md; formula and symbols: image_sum.cuh; thread mapping: tile.cuh; arrays that
// are read: inputs.cuh.
#include "portable.cuh"
#include "params.cuh"
#include "inputs.cuh"
#include "tile.cuh"
#include "pixel_factors.cuh"
#include "selection.cuh"
#include "sample_loop.cuh"
#include "image_sum.cuh"
#include "grid_search.cuh"
#if COUNTED
#include "epilogue.cuh"
#endif

// Set up the tile of a block, and compute the expected photons of its pixels; false where all are 0, and not set.
DEVICE bool tile_photons(const Params &p, const Inputs &in, const unsigned char *RESTRICT mask, Tile &tile,
                         PRIV_ARGUMENT(float, photons))
{
    if (!set_up_tile(p, mask, tile)) return false;
    SHARED(Workspace, workspace, 1);
    SHARED(Region, region, 1);
    Selection selection = {workspace[0], region[0]};
    if (!select_orientations(p, in, tile, selection)) return false;

    PixelFactors factors;
    ImageSum sum;
    begin(p, factors);
    begin(p, sum);
    add_samples(p, in, tile, selection, factors, sum);
    expected_photons(p, factors, sum, photons);
    return true;
}

#if COUNTED

// Counts of the region, `counts` [slow - first_row, fast]: those of the photons and of what the maps of the image add.
// Pixels outside the region are not written.
ENTRY(count)(const Params p, const REAL *RESTRICT f2_grid, const double *RESTRICT cell_axes,
             const double *RESTRICT sources, const unsigned char *RESTRICT mask, const float *RESTRICT f2_bounds,
             const float *RESTRICT cull_axes, const Epilogue e, const float *RESTRICT background,
             const float *RESTRICT direct, const float *RESTRICT passed, int *RESTRICT too_large, int *RESTRICT counts)
{
    const Inputs in = {f2_grid, cell_axes, sources, f2_bounds, cull_axes};
    const Maps maps = {background, direct, passed};
    Tile tile;
    PRIV(float, photons);
    if (!tile_photons(p, in, mask, tile, photons)) {
        FOR_T L(photons) = 0.0f;
    }
    FOR_ROWS
    {
        const int fast = tile.first_fast + column, slow = tile.first_slow + row;
        if (fast <= p.fast_max && slow <= p.slow_max) {
            counts[buffer_index(p, slow, tile.first_fast, column)] = L_ROWS(tile.active)
                ? count_of(e, maps, image_index(e, fast, slow), L_ROWS(photons), too_large) : 0;
        }
    }
}

#else

// Expected photons of the region, `image` [slow - first_row, fast]. Pixels that are masked, outside the region or
// without a term are not written: the caller fills the image with 0.
ENTRY(render)(const Params p, const REAL *RESTRICT f2_grid, const double *RESTRICT cell_axes,
              const double *RESTRICT sources, const unsigned char *RESTRICT mask,
              const float *RESTRICT f2_bounds, const float *RESTRICT cull_axes, float *RESTRICT image)
{
    const Inputs in = {f2_grid, cell_axes, sources, f2_bounds, cull_axes};
    Tile tile;
    PRIV(float, photons);
    if (tile_photons(p, in, mask, tile, photons)) write_tile(p, tile, photons, image);
}

#if FACTORS == TRICUBIC && PRECISION == DOUBLE

// Search for pixels with a sample outside the F grid. Writes found, uint8 [roi index - roi index of the launch's first
// pixel]: 1 where a sample leaves the grid. In nanobragg semantics the first such pixel stops interpolation.
ENTRY(find_outside)(const Params p, const double *RESTRICT cell_axes, const double *RESTRICT sources,
                    const unsigned char *RESTRICT mask, unsigned char *RESTRICT found)
{
    Tile tile;
    set_pixels(p, tile);
    const Centre centre = tile_centre(p, tile.first_fast, tile.first_slow, 0);
    FOR_T
    {
        const int fast = L(tile.fast), slow = L(tile.slow), index = roi_index(p, fast, slow);
        bool searched = L(tile.active) && index != p.skipped_index;
        if (searched && p.masked) searched = mask[buffer_index(p, slow, fast, 0)] != 0;
        const bool leaves = searched && pixel_leaves(p, cell_axes, sources, centre, tile.first_fast, tile.first_slow,
                                                     fast, slow);
        if (L(tile.active)) found[index - p.first_tile_row * TILE_SLOW * region_width(p)] = leaves;
    }
}

#endif

#endif
