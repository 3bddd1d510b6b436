// Arrays that a launch reads.
#ifndef CUBRAGG_INPUTS_CUH
#define CUBRAGG_INPUTS_CUH

#include "portable.cuh"
#include "params.cuh"

struct Inputs {
    const REAL *RESTRICT f2_grid;      // padded F2 grid [h, k, l] (TRICUBIC: F); one unused element where CONSTANT
    const double *RESTRICT cell_axes;  // cell axes a, b, c with x, y, z [m], [orientation, 9]
    const double *RESTRICT sources;  // [source, SOURCE_COLUMNS]
    // Where CULLED (else one unused element each): F2 upper bound [h, k, l] as a fraction of the largest F^2, on a grid
    // BOUND_PAD points wider on each side than the padded one; cell axes a, b, c [m] and their duals [1/m],
    // [18, orientation], padded with zeros to whole chunks of orientations.
    const float *RESTRICT f2_bounds, *RESTRICT cull_axes;
};

#endif
