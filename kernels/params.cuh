// Parameters of a launch: choices made at compile time, and one struct by value.
//
// Compile-time choices, set with -D by cubragg/engine/variant.py:
//   PRECISION  DOUBLE; MIXED: Miller indices double, lattice factors single; SINGLE: double at tile centres only
//   SHAPE      name of the crystal's shape: shape_<SHAPE>.cuh
//   FACTORS    CONSTANT: no grid; NEAREST: the nearest reflection; TRICUBIC: interpolation
//   WIDE_GRID  1 where the padded grid has 2^31 points or more
//   CULLED     1: terms that cannot matter to a tile are left out; not with RUNNING
//   PHYSICAL, RUNNING  fixed on the GPU (0 or 1); on the CPU read from the struct, so that one library serves both
// The struct is mirrored by cubragg/engine/kernel_params.py; PARAMS_SIZE is its size as NumPy sees it.
#ifndef CUBRAGG_PARAMS_CUH
#define CUBRAGG_PARAMS_CUH

#define DOUBLE 0
#define MIXED 1
#define SINGLE 2
#define CONSTANT 0
#define NEAREST 1
#define TRICUBIC 2

// REAL: lattice factors, and the sum over a run of orientations. INDEX: Miller indices and scattering vectors.
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
#if WIDE_GRID
typedef long long GRID_INDEX;
#else
typedef int GRID_INDEX;
#endif
// Sums over everything else.
typedef double ACC;

struct Params {
    // Panel: corner of the first pixel and axes [m, unit vectors]; edges of pixel and sub-pixel, fast and slow [m].
    double pix0[3], fast[3], slow[3], normal[3], beam[3];
    double pixel_size[2], sub_pixel_size[2], close_distance, distance;
    double area;  // of a pixel [m^2]
    double layer_step, first_depth, sensor_end, mu;  // sensor layers: see geometry.cuh [m, 1/m]
    double kahn, dmin;      // polarization factor; resolution limit [m]
    // nanobragg: start value of the sum, and r_e^2 fluence / steps as two factors and a divisor.
    // physical: water photons per steradian and sub-pixel, and r_e^2 fluence / steps.
    double water, scale;
    // Crystal: cells along a, b, c; a*, b*, c* [1/A]; their factor on the spot radius squared; numbers of
    // the shape's own.
    double cells[3], reciprocal[3][3], fudge, shape[2];
    // Squared amplitude where there is no grid; what a sum of REAL terms is multiplied by.
    double constant, term_scale;
    // Culling: bounds up to this share of the peak are dropped (negative: none), and up to that one beside spots;
    // squared distance from a node [1/m^2], or of indices times N, beyond which compact shapes are 0; largest share of
    // F^2, and what makes a share of a table's entry; lengths of a, b, c [m], of their duals [1/m], and one over those
    // of the duals of `reciprocal` [1/m].
    double cull_floor, spot_floor, cull_radius_sqr, largest, share;
    double lengths[3], star_lengths[3], per_dual[3];
    // Padded grid: its first point's indices, and its size. 0 where there is none.
    int grid_origin[3], grid_size[3];
    int fast_min, fast_max, slow_min, slow_max;  // region, ends included [pixel]
    int first_pixel[2];                          // pixel 0 0 of the image, fast and slow, on the geometry above
    int fast_pixels;                             // row length of image and mask
    int first_row;                               // row of the image that the buffers of image and mask start with
    int first_tile_row;                          // row of tiles of block row 0
    int layers, oversample, sources, orientations;
    int polarized, absorbing, curved, point_pixel, masked;
    int running_thick, running_polar, running_omega;
    int physical, running;
    int interpolated_to;  // places before this one interpolate (nanobragg)
    int skipped_place;    // left out of the search for the place that stops interpolation
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
#define INCIDENT 0     // unit vector of the beam as it falls in
#define WAVELENGTH 3   // [m]
#define WEIGHT 4       // share of the photons; physical semantics
#define UNIT_INCIDENT 5
#define MAGNETIC 8     // directions of the B and E vectors
#define ELECTRIC 11
#define SOURCE_COLUMNS 14

#endif
