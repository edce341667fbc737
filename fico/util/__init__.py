"""Tools without knowledge of retrieval: atomic writes, caches, optional packages, progress, resources, provenance."""
