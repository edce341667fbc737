"""``python -m fico.bench.popcount``: the exact Hamming search beside FAISS and the processor's limit."""
