"""Hubness of an evaluation, and its correction by nearest neighbour normalisation or dual softmax."""
