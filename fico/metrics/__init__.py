"""Retrieval metrics, one per file: the pure function on a block of queries, and the metric object around it.

The functions take scores and relevance, ``queries items``, on any device, and return one value per query. They are the
readable definitions; ``kernels`` computes the same numbers faster on the CPU, and the tests hold them together.
"""
