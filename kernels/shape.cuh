// The crystal's shape: `lattice_amplitude` and `shape_contributes` of shape_<SHAPE>.cuh.
#ifndef CUBRAGG_SHAPE_CUH
#define CUBRAGG_SHAPE_CUH

#ifndef SHAPE
#error "SHAPE is not set: -DSHAPE=square compiles the kernels with shape_square.cuh"
#endif

// cubragg/device/kernel_source.py inlines the header here; a preprocessor finds it by this name.
#define SHAPE_QUOTED(name) #name
#define SHAPE_FILE(name) SHAPE_QUOTED(shape_##name.cuh)
#define SHAPE_EXPANDED(name) SHAPE_FILE(name)
#define SHAPE_HEADER SHAPE_EXPANDED(SHAPE)
#include SHAPE_HEADER

#endif
