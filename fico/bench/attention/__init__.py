"""Cost of attention at query time: Table 6 of the paper."""
