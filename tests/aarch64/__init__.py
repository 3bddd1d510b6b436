"""Runs the kernels as compiled for aarch64, without such a machine."""
