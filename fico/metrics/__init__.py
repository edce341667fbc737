"""Retrieval metrics, one per file: the pure function on a block of queries, and the torchmetrics object around it.

The functions take scores and relevance, ``queries items``, on any device, and return one value per query. They are the
readable definitions; ``fico.metrics.kernels`` computes the same numbers faster on the CPU; the tests hold both equal.
"""
