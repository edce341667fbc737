"""Results in the layout of mteb, written, read and put beside runs."""
