"""Values per query: the compiled kernels on the CPU, and torch on any device."""
