"""Embeddings of a whole split: encoding, collecting in memory or on disk, and the store of a finished run."""
