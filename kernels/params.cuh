// Parameters of a launch: compile-time options, and one struct passed by value.
//
// Compile-time options, set with -D by cubragg/engine/variant.py:
//   PRECISION  DOUBLE; MIXED: Miller indices double, lattice factors single; SINGLE: double at tile centres only
//   SHAPE      name of the crystal's shape: shape_<SHAPE>.cuh
//   FACTORS    CONSTANT: no grid; NEAREST: the nearest reflection; TRICUBIC: interpolation
//   TWO_FLOATS 1: with REAL float, offsets of Miller indices are sums of two floats (two_floats.cuh)
//   WIDE_GRID  1 where the padded grid has 2^31 points or more
//   CULLED     1: terms that are negligible on a tile are skipped; not with RUNNING
//   COUNTED    1: the photons of a pixel become its count in the kernel (epilogue.cuh); in physical semantics
//   PHYSICAL, RUNNING  fixed on the GPU (0 or 1); on the CPU read from the struct, so that one library serves both
// The struct is mirrored by cubragg/engine/kernel_params.py; PARAMS_SIZE is the size of that NumPy dtype.
#ifndef CUBRAGG_PARAMS_CUH
#define CUBRAGG_PARAMS_CUH

#include "two_floats.cuh"

#define DOUBLE 0
#define MIXED 1
#define SINGLE 2
#ifndef TWO_FLOATS
#define TWO_FLOATS 0
#endif
#define CONSTANT 0
#define NEAREST 1
#define TRICUBIC 2

// REAL: lattice factors, and the sum over a run of orientations. INDEX: Miller indices and scattering vectors.
// FINE_INDEX: where INDEX is float and TWO_FLOATS, Miller indices, cell axes and scattering vectors before the whole
// number is subtracted. OFFSET: dh.
#if PRECISION == DOUBLE
typedef double REAL;
#else
typedef float REAL;
#endif
#if PRECISION == SINGLE
typedef float INDEX;
#else
typedef double INDEX;
#endif
#if PRECISION == SINGLE && TWO_FLOATS
typedef Pair FINE_INDEX;
#else
typedef INDEX FINE_INDEX;
#endif
#if TWO_FLOATS
typedef Pair OFFSET;
#else
typedef REAL OFFSET;
#endif
#if WIDE_GRID
typedef long long GRID_INDEX;
#else
typedef int GRID_INDEX;
#endif
// ACC: sums over sources, sub-pixels and layers.
typedef double ACC;

struct Params {
    // Panel: corner of the first pixel and axes [m, unit vectors]; edges of pixel and sub-pixel, fast and slow [m].
    double pix0[3], fast[3], slow[3], normal[3], beam[3];
    double pixel_size[2], sub_pixel_size[2], close_distance, distance;
    double area;  // of a pixel [m^2]
    double layer_step, first_depth, sensor_end, mu;  // sensor layers: see geometry.cuh [m, 1/m]
    double kahn, dmin;      // polarization factor; resolution limit [m]
    // nanobragg: start value of the sum, and r_e^2 fluence / number of samples.
    // physical: water photons per steradian and sub-pixel, and r_e^2 fluence / number of samples.
    double water, scale;
    // Coherent block: number of cells along a, b, c; a*, b*, c* [1/A]; factor on the squared spot radius; parameters
    // of the shape (see its header).
    double cells[3], reciprocal[3][3], fudge, shape[2];
    // F^2 where there is no grid; factor on a sum of REAL terms.
    double constant, term_scale;
    // Culling: terms whose bound is at most this fraction of the peak are skipped (negative: none), and the same beside
    // spots; squared distance from a node [1/m^2], or squared index distance times N, beyond which compact shapes are
    // negligible; upper bound of every entry of `f2_bounds`; factor from an entry of the F2 grid to a fraction of the
    // largest F^2; lengths of a, b, c [m], of their duals [1/m], and reciprocals of the lengths of the duals of
    // `reciprocal` [1/m].
    double cull_floor, spot_floor, cull_radius_sqr, largest_f2, f2_fraction;
    double lengths[3], star_lengths[3], per_dual[3];
    // F2 grid with its padding: Miller indices of its first point, and its size; 0 where there is none.
    int grid_origin[3], grid_size[3];
    int fast_min, fast_max, slow_min, slow_max;  // region, ends included [pixel]
    int first_pixel[2];                          // geometry's pixel that is pixel 0 0 of the image, fast and slow
    int fast_pixels;                             // row length of image and mask
    int first_row;                               // row of the image at which the buffers of image and mask start
    int first_tile_row;                          // row of tiles of block row 0
    int layers, oversample, sources, orientations;
    int polarized, absorbing, curved, point_pixel, masked;
    int running_thick, running_polar, running_omega;
    int physical, running;
    int interpolated_to;  // roi index of the first pixel that does not interpolate (nanobragg)
    int skipped_index;    // roi index left out of the search for the pixel that stops interpolation; -1: none
};

static_assert(sizeof(Params) == PARAMS_SIZE, "Params and its NumPy mirror differ in size");

#ifndef PHYSICAL
#define PHYSICAL (p.physical != 0)
#endif
#if CULLED
#undef RUNNING
#define RUNNING false
#endif
#ifndef RUNNING
#define RUNNING (p.running != 0)
#endif

// Columns of the table of sources [source, SOURCE_COLUMNS].
#define INCIDENT 0     // direction of the incident beam; UNIT_INCIDENT is the same, normalized again
#define WAVELENGTH 3   // [m]
#define WEIGHT 4       // fraction of the photons; physical semantics
#define UNIT_INCIDENT 5
#define MAGNETIC 8     // directions of the B and E vectors
#define ELECTRIC 11
#define SOURCE_COLUMNS 14

#endif
