"""``python -m fico.bench.metrics``: the evaluation engine beside other libraries."""
