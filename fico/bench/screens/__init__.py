"""How many candidates codes need, so that a finer ranking of them finds what it finds among all items."""
