"""``fico reproduce``: every table and figure of the paper that the weights and data at hand allow."""
