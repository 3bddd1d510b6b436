// Entry point of kernels/analytic.cu, compiled for the CPU.
#include "analytic.cu"
#include "host_launch.hpp"

HOST_ENTRY(render_spots)
