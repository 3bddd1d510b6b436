// Entry point of kernels/normal_deviates.cu, compiled for the CPU.
#include "host_threads.hpp"
#include "normal_deviates.cu"
#include "host_launch.hpp"

HOST_ENTRY(draw_normals)
