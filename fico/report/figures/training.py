"""Training curves of a run: loss and monitored metric over the epochs."""

from collections.abc import Sequence

from fico.report.figures.page_svg import INK, MATCH, OTHER, as_svg, new_axes
from fico.run_context import EpochValues

RANKS = ("MedR", "MeanR", "loss")


def training_curves(history: Sequence[EpochValues], monitor: str) -> str | None:
    """Loss on the left axis, the monitored metric on the right; None where fewer than two epochs were logged.

    Args:
        history: Of each epoch.
        monitor: Name of the metric that selects the best epoch.
    """
    losses = [(each.epoch, each.loss) for each in history if each.loss is not None]
    scale = 1 if monitor.endswith(RANKS) else 100
    values = [(each.epoch, scale * each.monitored) for each in history if each.monitored is not None]
    if max(len(losses), len(values)) < 2:
        return None
    figure, axes = new_axes("epoch", "training loss")
    axes.locator_params(axis="x", integer=True)
    right = axes.twinx()
    right.set_ylabel(monitor.removeprefix("val/") + (" in %" if scale == 100 else ""), color=INK)
    right.tick_params(colors=INK, length=0, labelsize=9)
    for side in right.spines.values():
        side.set_visible(False)
    for panel, points, colour, style in ((axes, losses, OTHER, "--"), (right, values, MATCH, "-")):
        if points:
            panel.plot(*zip(*points, strict=True), color=colour, linestyle=style, marker="o", markersize=3.5)
            panel.yaxis.label.set_color(colour)
    return as_svg(figure, "training")
