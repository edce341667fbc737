"""Parts of the searches that run on a GPU."""
