"""``python -m fico.bench.attention``."""

from fico.bench.attention.attention import main

main()
