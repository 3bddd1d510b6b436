// Entry point of kernels/normals.cu, compiled for the CPU.
#include "host_threads.hpp"
#include "normals.cu"
#include "host_launch.hpp"

HOST_ENTRY(draw_normals)
