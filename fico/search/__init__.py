"""Searchers: exact, by hash codes, through FAISS and coarse to fine. Import them from their files or from fico."""
