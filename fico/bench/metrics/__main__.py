"""``python -m fico.bench.metrics``."""

from fico.bench.metrics.evaluation import main

main()
