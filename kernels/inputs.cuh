// The arrays that a launch reads.
#ifndef CUBRAGG_INPUTS_CUH
#define CUBRAGG_INPUTS_CUH

#include "portable.cuh"
#include "params.cuh"

struct Inputs {
    const REAL *RESTRICT table;      // F^2 (TRICUBIC: F) [h, k, l], padded grid; one unused element where CONSTANT
    const double *RESTRICT vectors;  // cell axes a, b, c with x, y, z [m], [orientation, 9]
    const double *RESTRICT sources;  // [source, SOURCE_COLUMNS]
    // Where CULLED (else one unused element each): upper bounds of F^2 [h, k, l], a grid LIMIT_PAD wider than the
    // padded one; a, b, c [m] and their duals [1/m], [18, orientation], orientations filled up to whole chunks.
    const float *RESTRICT limits, *RESTRICT axes;
};

#endif
