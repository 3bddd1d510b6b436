// Entry points of kernels/render.cu, compiled for the CPU.
#include "host_threads.hpp"
#include "render.cu"
#include "host_launch.hpp"

HOST_ENTRY(render)
#if FACTORS == TRICUBIC && PRECISION == DOUBLE
HOST_ENTRY(find_outside)
#endif
