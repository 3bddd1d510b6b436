// Pixels of reflections of the method analytic, with the photons of each reflection in them; for the CPU. specs/data-sets.md
//
//   photons(pixel) = what passes * sum over the spots of the reflection (kernels/analytic.cu)
//
// A pixel is kept if it has at least a fraction of the photons of the reflection's brightest pixel.
//
// Mapping: block x is a reflection, whose box is computed tile by tile. Arrays: spots [n]; first [reflections + 1] and order:
// the spots of a reflection are order[i], first[x] <= i < first[x + 1], ascending; box int [reflections, 4] (fast, slow:
// first, last pixel); start long long [reflections + 1]: first place of each box in pixels and photons; passed float [slow,
// fast] of the panel, used if p.masked; pixels int and photons double: those that are kept, from start[x], number in the box
// and photons; count long long [reflections].
#include "analytic.cu"
#include "host_launch.hpp"
#include <algorithm>

ENTRY(find_pixels)(const SpotParams p, const Spot *RESTRICT spots, const int *RESTRICT first, const int *RESTRICT order,
                   const int *RESTRICT box, const long long *RESTRICT start, const float *RESTRICT passed,
                   const double fraction, int *RESTRICT pixels, double *RESTRICT photons, long long *RESTRICT count)
{
    const int number = blockIdx.x;
    const int fast_min = box[4 * number], fast_max = box[4 * number + 1];
    const int slow_min = box[4 * number + 2], slow_max = box[4 * number + 3], width = fast_max - fast_min + 1;
    double *own = photons + start[number];
    int *at = pixels + start[number];
    SHARED(ACC, sums, BLOCK);
    SHARED(REAL, values, SAMPLES);
    SHARED(REAL, factors, SAMPLES);
    SHARED(Row, summed, ROWS);
    SHARED(ACC, columns, SAMPLES);
    Samples samples;
    const Work work = {values, factors, summed, columns, sums, samples};
    double most = 0.0;
    for (int top = slow_min; top <= slow_max; top += TILE_SLOW) {
        for (int left = fast_min; left <= fast_max; left += TILE_FAST) {
            const int across = std::min(TILE_FAST, fast_max - left + 1), down = std::min(TILE_SLOW, slow_max - top + 1);
            std::fill(sums, sums + TILE_FAST * down, 0.0);
            for (int i = first[number]; i < first[number + 1]; ++i) {
                LOCAL(Spot) spot = spots[order[i]];
                const bool inside = spot.fast_min < left + across && spot.fast_max >= left
                                    && spot.slow_min < top + down && spot.slow_max >= top;
                if (inside) add_to_tile(p, spot, left, top, work);
            }
            for (int row = 0; row < down; ++row) {
                double *to = own + (long long)(top + row - slow_min) * width + left - fast_min;
                for (int column = 0; column < across; ++column) {
                    const long long pixel = (long long)(top + row) * p.fast_pixels + left + column;
                    to[column] = sums[row * TILE_FAST + column] * (p.masked ? passed[pixel] : 1.0);
                    most = std::max(most, to[column]);
                }
            }
        }
    }
    long long kept = 0;
    const long long size = start[number + 1] - start[number];
    for (long long i = 0; i < size; ++i) {
        if (own[i] > 0.0 && own[i] >= fraction * most) {
            own[kept] = own[i];
            at[kept++] = (int)i;
        }
    }
    count[number] = kept;
}

HOST_ENTRY(find_pixels)
