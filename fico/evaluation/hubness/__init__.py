"""Hubness of an evaluation, and its correction by nearest neighbour normalisation."""
