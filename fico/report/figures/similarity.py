"""Histogram of the similarity of matching pairs beside that of random ones."""

import numpy as np

from fico.report.figures.page_svg import MATCH, OTHER, add_legend, as_svg, new_axes

BINS = 40


def similarity_histogram(matching: np.ndarray, random: np.ndarray) -> str:
    """Both histograms, each with its fraction of pairs, on one axis.

    Args:
        matching: Scores of matching pairs; any scale.
        random: Of pairs that do not match.
    """
    every = np.concatenate([matching, random])
    edges = np.histogram_bin_edges(every, BINS)
    figure, axes = new_axes("similarity", "pairs in %")
    for values, colour, style, name in (
        (random, OTHER, "--", "random pairs"), (matching, MATCH, "-", "matching pairs")
    ):  # fmt: skip
        counts, _ = np.histogram(values, edges)
        axes.stairs(100 * counts / len(values), edges, color=colour, linestyle=style, linewidth=1.6, label=name)
        axes.stairs(100 * counts / len(values), edges, color=colour, fill=True, alpha=0.15)
    axes.set_ylim(0)
    add_legend(axes)
    return as_svg(figure, "similarity")
