"""Checkpoint I/O: files, hub names, parameter names, options and sizes of released weights."""
