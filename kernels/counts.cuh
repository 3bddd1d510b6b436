// Arguments of the entry points that draw counts. specs/noise.md
#ifndef CUBRAGG_COUNTS_CUH
#define CUBRAGG_COUNTS_CUH

#include "portable.cuh"
#include "philox.cuh"

// Image and region of interest, both ends included; `first_row` is the first row of the region that a launch draws.
// Mirrored by poisson.COUNTS_PARAMS.
struct CountsParams {
    RandomStream stream;
    int width;  // pixels of a row of the image
    int fast_min, fast_max, first_row;
    unsigned origin;  // index of the pixel with which means and counts begin
};
static_assert(sizeof(CountsParams) == 36, "CountsParams and its NumPy mirror differ in size");

// Indices of the pixels of a row of the region: `first` to `end`, end excluded.
struct PixelRange { unsigned first, end; };

DEVICE PixelRange row_of_region(const CountsParams &p, int row)
{
    const unsigned start = (unsigned)(p.first_row + row) * (unsigned)p.width;
    return {start + (unsigned)p.fast_min, start + (unsigned)p.fast_max + 1u};
}

// A count as the pixel type of the image; integers are limited to 2^31 - 1.
DEVICE void store(double count, double &pixel) { pixel = count; }
DEVICE void store(double count, int &pixel) { pixel = (int)(count < 2147483647.0 ? count : 2147483647.0); }

#endif
