// The entry point of the GPU, kernels/counts.cu, for the CPU.
#include "counts.cu"
#include "host_launch.hpp"

HOST_ENTRY(draw_counts)
