"""Data sets that come as precomputed features of images and texts."""
