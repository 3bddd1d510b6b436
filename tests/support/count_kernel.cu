// The entry point of the GPU that renders counts, of kernels/render.cu, for the CPU.
#include "host_threads.hpp"
#include "render.cu"
#include "host_launch.hpp"

HOST_ENTRY(count)
