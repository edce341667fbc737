"""``python -m fico.bench.metrics``: the evaluation engine against other libraries."""
