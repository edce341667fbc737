"""``python -m fico.bench.answers``."""

from fico.bench.answers.answers import main

main()
