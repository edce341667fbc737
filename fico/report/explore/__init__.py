"""``explore.html``: any query side by side over several runs of one data set."""
