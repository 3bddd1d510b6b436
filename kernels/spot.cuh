// A spot, and the parameters of a launch of the method analytic. specs/analytic.md
//
// Compile-time options, set with -D by cubragg/engine/analytic/spot_kernel.py: PRECISION (params.cuh: DOUBLE or SINGLE),
// TILE_FAST, TILE_SLOW, SPOT_SIZE and SPOT_PARAMS_SIZE, the sizes of the NumPy dtypes that mirror the structs.
#ifndef CUBRAGG_SPOT_CUH
#define CUBRAGG_SPOT_CUH

#include "portable.cuh"
#include "params.cuh"

// Functionals of delta = q - G in `rows`: radial component, conditional wavelength deviation, standardized deviations
// (the third along the path), tangential components of the conditional mosaic rotation.
#define ROW_RADIAL 0
#define ROW_WAVELENGTH 1
#define ROW_FIRST 2
#define ROW_SECOND 3
#define ROW_ALONG 4
#define ROW_TANGENT_1 5
#define ROW_TANGENT_2 6

struct Spot {
    double amplitude;    // photons per solid angle at the maximum, for unpolarized photons that are all captured [1/sr]
    int fast_min, fast_max, slow_min, slow_max;  // box, ends included [pixel of the panel]
    int subpixels;       // along each edge of a pixel
    int fast_first, fast_last, slow_first, slow_last;  // those that are summed, ends included [sub-pixel of the box]
    int bent, path;      // second-order terms matter; NONE, SHORT or LONG of spot_profile.cuh
    int padding;
    REAL offset[2];      // of the ray from the corner of the box, fast and slow [pixel]
    REAL towards[2];     // k.F / r, k.S / r: steps from pixel to pixel along the ray, over its length
    REAL square[3];      // F.F, F.S, S.S over r^2
    REAL rows[7][4];     // w.delta = (w_f f + w_s s - w_k (rho - 1)) / rho - w_0
    REAL correction[4];  // radial components of ROW_WAVELENGTH to ROW_ALONG
    REAL curvature[4];   // their components along half the curvature of the path, over the squared pace
    REAL drift, trace;   // tangential velocity of the conditional rotation over the pace; variance of the rotation
    REAL half_inverse;   // 1 / (2 |G|)
    REAL ends[2];        // of the segment, times the pace sqrt(v^T W v)
    REAL direction[3][3];  // components of the direction along beam, E vector and B vector: at the ray, per f, per s
    REAL solid_angle;    // at the ray [sr], or 1 / r^2 for point pixels
    REAL depths[2];      // front and back of the layer along the ray, in absorption lengths
};

struct SpotParams {
    double kahn;
    int fast_min, fast_max, slow_min, slow_max;  // region, ends included [pixel of the panel]
    int fast_pixels;                             // width of a row of image and mask
    int masked, polarized, point_pixel;
};

static_assert(sizeof(Spot) == SPOT_SIZE, "Spot is not the dtype of spot_constants.py");
static_assert(sizeof(SpotParams) == SPOT_PARAMS_SIZE, "SpotParams is not the dtype of spot_kernel.py");

#endif
