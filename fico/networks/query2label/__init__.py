"""Query2Label, the multi-label classifier of the pseudo-labels, and its backbones."""
