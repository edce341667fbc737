"""``python -m fico.bench.screens``."""

from fico.bench.screens.screens import main

main()
