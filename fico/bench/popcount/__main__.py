"""``python -m fico.bench.popcount``."""

from fico.bench.popcount.popcount import main

main()
