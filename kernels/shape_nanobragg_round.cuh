// nanoBragg's ellipsoid: that of shape_round.cuh, in double precision by the closed form also beside nodes.
#ifndef CUBRAGG_SHAPE_NANOBRAGG_ROUND_CUH
#define CUBRAGG_SHAPE_NANOBRAGG_ROUND_CUH

#define CLOSED_AT_NODES
#include "shape_round.cuh"

#endif
