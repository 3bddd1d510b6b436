"""Runs NVRTC's PTX without a GPU: `translation` to C++, the machine of its threads, and a stand-in for cupy."""
