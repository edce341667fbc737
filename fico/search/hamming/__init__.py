"""Exact Hamming search: the popcount kernels for CPUs, the tensor-core kernels for GPUs."""
