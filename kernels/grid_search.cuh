// The search for samples whose interpolation would leave the grid of structure factors. specs/core-physics.md
//
// A sample leaves the grid if one of its 4 x 4 x 4 neighbouring nodes is outside, padding excluded. Samples cut by
// dmin, and terms that the C program skips because their lattice amplitude is 0, are ignored.
// Thread mapping: tile.cuh.
#ifndef CUBRAGG_GRID_SEARCH_CUH
#define CUBRAGG_GRID_SEARCH_CUH
#if FACTORS == TRICUBIC && PRECISION == DOUBLE

#include "portable.cuh"
#include "params.cuh"
#include "geometry.cuh"
#include "lattice.cuh"
#include "shape.cuh"
#include "structure_factor.cuh"

// Whether the sample of an orientation leaves the grid.
DEVICE bool sample_leaves(const Params &p, const Orientation &o, double qx, double qy, double qz)
{
    const double h = miller_index(o.ax, o.ay, o.az, 0.0, qx, qy, qz);
    const double k = miller_index(o.bx, o.by, o.bz, 0.0, qx, qy, qz);
    const double l = miller_index(o.cx, o.cy, o.cz, 0.0, qx, qy, qz);
    const bool outside = leaves_axis(h, o.low_h, p.grid_size[0]) || leaves_axis(k, o.low_k, p.grid_size[1])
                         || leaves_axis(l, o.low_l, p.grid_size[2]);
    if (!outside) return false;
    const Amplitude amplitude = lattice_amplitude(p, (REAL)(h - ceil_(h - 0.5)), (REAL)(k - ceil_(k - 0.5)),
                                                  (REAL)(l - ceil_(l - 0.5)));
    return amplitude.nonzero || p.water != 0.0;
}

// Whether any sample of a sub-pixel leaves the grid.
DEVICE bool sub_pixel_leaves(const Params &p, const double *RESTRICT cell_axes, const double *RESTRICT sources,
                             const SubPixel &s)
{
    bool leaves = false;
    for (int source = 0; source < p.sources; ++source) {
        const double *row = sources + source * SOURCE_COLUMNS;
        const double qx = (s.x - row[INCIDENT]) / row[WAVELENGTH];
        const double qy = (s.y - row[INCIDENT + 1]) / row[WAVELENGTH];
        const double qz = (s.z - row[INCIDENT + 2]) / row[WAVELENGTH];
        if (p.dmin > 0.0 && resolution_cut(p.dmin, qx, qy, qz)) continue;
        for (int i = 0; i < p.orientations; ++i) {
            const bool found = sample_leaves(p, orientation_at(p, cell_axes + (long long)i * 9), qx, qy, qz);
            leaves = leaves || found;
        }
    }
    return leaves;
}

// Whether any sample of a pixel leaves the grid.
DEVICE bool pixel_leaves(const Params &p, const double *RESTRICT cell_axes, const double *RESTRICT sources,
                         const Centre &centre, int first_fast, int first_slow, int fast, int slow)
{
    bool leaves = false;
    const int sub_pixels = p.oversample * p.oversample;
    for (int number = 0; !leaves && number < p.layers * sub_pixels; ++number) {
        const int layer = number / sub_pixels, sub = number % sub_pixels;
        const int sub_slow = sub / p.oversample, sub_fast = sub % p.oversample;
        const SubPixel s = p.curved ? curved_sub_pixel(p, centre, fast, slow, layer, sub_fast, sub_slow)
                                    : sub_pixel(p, centre, first_fast, first_slow, fast, slow, layer, sub_fast,
                                                sub_slow);
        leaves = sub_pixel_leaves(p, cell_axes, sources, s);
    }
    return leaves;
}

#endif
#endif
