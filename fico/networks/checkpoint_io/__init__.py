"""Reading released weights: files, hub names, parameter names."""
