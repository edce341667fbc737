"""Indexes compared on the embeddings of a run."""
