"""Retrieval metrics: pure functions on blocks of queries, and the torchmetrics object around each."""
