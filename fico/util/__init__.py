"""Tools without knowledge of retrieval: atomic writes, caches, progress, resources, provenance, threaded products."""
