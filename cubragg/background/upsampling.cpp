// Cubic interpolation of a smooth map between every eighth pixel, for the CPU: that of upsampling.py.
//
//   value(8 i + p, 8 j + q) = max(0, sum_n w_n(q) sum_m w_m(p) coarse[i + m, j + n]),  m and n from 0 to 3
//
// coarse is float [slow points, fast points], weights float [4, STEP], and image points to float [slow, fast] in rows of
// `width` pixels.
//
// Mapping: block (x, y) fills CELLS cells of STEP x STEP pixels of row y of cells.
#include "portable.cuh"
#include "host_launch.hpp"

#define CELLS 64

struct UpsamplingParams { int slow, fast, width, points; };

DEVICE float cubic(float a, float b, float c, float d, const float *weight)
{
    return weight[0] * a + weight[STEP] * b + weight[2 * STEP] * c + weight[3 * STEP] * d;
}

ENTRY(upsample)(const UpsamplingParams p, const float *RESTRICT coarse, const float *RESTRICT weights,
                float *RESTRICT image)
{
    const int first = blockIdx.x * CELLS, all = (p.fast + STEP - 1) / STEP;
    const int cells = all - first < CELLS ? all - first : CELLS;
    const float *from = coarse + (long long)blockIdx.y * p.points + first;
    for (int phase = 0; phase < STEP; ++phase) {
        const int row = blockIdx.y * STEP + phase;
        if (row >= p.slow) return;
        alignas(64) float line[CELLS + 3], fine[CELLS * STEP];
        for (int j = 0; j < cells + 3; ++j) {
            line[j] = cubic(from[j], from[p.points + j], from[2 * p.points + j], from[3 * p.points + j],
                            weights + phase);
        }
        for (int j = 0; j < cells; ++j) {
#pragma omp simd
            for (int q = 0; q < STEP; ++q) {
                const float value = cubic(line[j], line[j + 1], line[j + 2], line[j + 3], weights + q);
                fine[STEP * j + q] = value > 0.0f ? value : 0.0f;
            }
        }
        const int left = p.fast - first * STEP;
        float *to = image + (long long)row * p.width + first * STEP;
        __builtin_memcpy(to, fine, sizeof(float) * (left < cells * STEP ? left : cells * STEP));
    }
}
HOST_ENTRY(upsample)
