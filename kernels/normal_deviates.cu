// Entry point: Gaussian deviates of consecutive indices, double [index - origin]. specs/response.md; formulas: normal_deviates.cuh.
//
// Thread mapping: a pair of indices a thread, block x of BLOCK pairs from the launch's first pair.
#define MIN_BLOCKS (1024 / BLOCK)
#include "portable.cuh"
#include "normal_deviates.cuh"

ENTRY(draw_normals)(const NormalsParams p, double *RESTRICT deviates)
{
    THREAD;
    FOR_T
    {
        const unsigned pair = p.first_pair + (unsigned)blockIdx.x * BLOCK + (unsigned)t, index = 2u * pair;
        const NormalPair drawn = normal_pair(p.stream, pair, p.draw);
        if (index >= p.origin && index < p.end) deviates[index - p.origin] = drawn.even;
        if (index + 1u < p.end) deviates[index + 1u - p.origin] = drawn.odd;
    }
}
