"""Vectors for the search benches: items, and queries of the same and of the other modality."""
