"""Pages of a run and of a data set."""
