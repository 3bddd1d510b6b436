// A spot, and the parameters of a launch of the method analytic. specs/analytic.md
//
// Compile-time options, set with -D by cubragg/engine/analytic/spot_kernel.py: PRECISION (params.cuh: DOUBLE or SINGLE),
// TILE_FAST, TILE_SLOW, SPOT_SIZE and SPOT_PARAMS_SIZE, the sizes of the NumPy dtypes that mirror the structs.
#ifndef CUBRAGG_SPOT_CUH
#define CUBRAGG_SPOT_CUH

#include "portable.cuh"
#include "params.cuh"

// Coefficients of a second-order term: of y1^2, y1 y2, y2^2, y1 z, y2 z, z^2, E y1, E y2, E z, E^2, V, 1; E and V are mean
// and variance of the angle (times the pace), z = y3 - E. second_order.py
#define MONOMIALS 12
// Coefficients of the divergence: of y1, y2, z, E; of their products with V; of the third central moment of the angle.
#define DIVERGENCE 9

// Box of a spot, and what it is computed with.
struct SpotBox {
    double amplitude;    // photons per solid angle at the maximum, for unpolarized photons that are all captured [1/sr]
    int fast_min, fast_max, slow_min, slow_max;  // box, ends included [pixel of the panel]
    int subpixels;       // along each edge of a pixel
    int fast_first, fast_last, slow_first, slow_last;  // those that are summed, ends included [sub-pixel of the box]
    int bent, path;      // STRAIGHT, BENT or STRONGLY_BENT, and NONE, SHORT or LONG of spot_profile.cuh
    int widest;          // most sub-pixels of a row that are summed: spot_rows.cuh
};

template <typename T> struct SpotNumbers {
    T offset[2];         // of the ray from the corner of the box, fast and slow [pixel]
    T towards[2];        // k.F / r, k.S / r: steps from pixel to pixel along the ray, over its length
    T square[3];         // F.F, F.S, S.S over r^2
    T rows[3][4];        // standardized deviations: y = (w_f f + w_s s - w_k (rho - 1)) / rho - w_0, the path last
    T wavelength[3];     // conditional wavelength deviation: of y1, y2, z
    T radial[3];         // G in standardized axes
    T sag[MONOMIALS];    // T / (4 |G|^2), T the mean square displacement of the node by rotations
    T bend[3][MONOMIALS];  // the other second-order displacements
    T divergence[DIVERGENCE];
    T ends[2];           // of the segment, times the pace sqrt(v^T W v)
    T direction[3][3];   // components of the direction along beam, E vector and B vector: at the ray, per f, per s
    T solid_angle;       // at the ray [sr], or 1 / r^2 for point pixels
    T depths[2];         // front and back of the layer along the ray, in absorption lengths
    // The ellipse whose sub-pixels are summed: centre, fast and slow, from the ray; per row its shift along fast; the
    // square of half its row through the centre, and by how much that is less per squared distance from it [pixel].
    T outline[5];
};

struct Spot : SpotBox, SpotNumbers<REAL> {};

struct SpotParams {
    double kahn;
    int fast_min, fast_max, slow_min, slow_max;  // region, ends included [pixel of the panel]
    int fast_pixels;                             // width of a row of image and mask
    int first_row;                               // row of the panel with which image and mask begin [pixel]
    int masked, polarized, point_pixel;
};

static_assert(sizeof(Spot) == SPOT_SIZE, "Spot is not the dtype of spot_constants.py");
static_assert(sizeof(SpotParams) == SPOT_PARAMS_SIZE, "SpotParams is not the dtype of spot_kernel.py");

#endif
