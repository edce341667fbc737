"""Counting kernels for the CPU (numba). Nothing is compiled at import; compiled code is cached on disk."""
