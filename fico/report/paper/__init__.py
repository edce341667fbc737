"""Tables and figures of the paper, filled from runs."""
