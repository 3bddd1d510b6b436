// Entry points of kernels/spot_list.cu, compiled for the CPU.
#include "spot_list.cu"
#include "host_launch.hpp"

HOST_ENTRY(bound_spots)
HOST_ENTRY(fill_spots)
