// Entry point: Poisson deviates of an image of expected photons. specs/noise.md; algorithms: poisson.cuh.
//
// MEAN and COUNT are the pixel types, float or double and int or double. `means` and `counts` are images [slow, fast], or
// bands of rows of them, from the pixel `origin` on; pixels outside the region are neither read nor written.
//
// Thread mapping: four pixels with one block of random words a thread, block (x, y) of threads BLOCK x ... of row y of
// the launch. Grid: (blocks that cover a row of the region, rows of this launch).
#define MIN_BLOCKS (1024 / BLOCK)
#include "portable.cuh"
#include "philox.cuh"
#include "poisson.cuh"
#include "counts.cuh"

ENTRY(draw_counts)(const CountsParams p, const MEAN *RESTRICT means, COUNT *RESTRICT counts)
{
    THREAD;
    const PixelRange row = row_of_region(p, (int)blockIdx.y);
    FOR_T
    {
        const unsigned quad = row.first / 4u + (unsigned)blockIdx.x * BLOCK + (unsigned)t;
        const RandomBlock block = random_block(p.stream, quad, 0);
        UNROLL
        for (unsigned place = 0; place < 4u; ++place) {
            const unsigned index = 4u * quad + place;
            if (index >= row.first && index < row.end) {
                const double mean = usable_mean((double)means[index - p.origin]);
                store(mean < SEARCH_BELOW ? (double)search_count(p.stream, index, mean, block.words[place])
                                          : rejection_count(p.stream, index, mean), counts[index - p.origin]);
            }
        }
    }
}
