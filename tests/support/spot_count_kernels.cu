// The entry points of the GPU that render counts, of kernels/analytic.cu, for the CPU.
#include "analytic.cu"
#include "host_launch.hpp"

HOST_ENTRY(count_spots)
HOST_ENTRY(count_background)
