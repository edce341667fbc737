"""``python -m fico.bench.popcount``: the exact Hamming search against FAISS and the processor's limit."""
