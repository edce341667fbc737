"""Drawings of a page as SVG text that follows the page's colours, light or dark."""

import io
import re
from typing import Any

from fico.util.optional import requires_extra

with requires_extra("report"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

# Written as colours that nothing else uses, then replaced by the page's variables: SVG by matplotlib has no other hook.
INK, FAINT, COLOURS = "#010203", "#010204", {"i2t": "#010205", "t2i": "#010206"}
MATCH, OTHER = "#010207", "#010208"
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    COLOURS["i2t"]: "var(--i2t)",
    COLOURS["t2i"]: "var(--t2i)",
    MATCH: "var(--match)",
    OTHER: "var(--soft)",
}


def new_axes(across: str, up: str) -> tuple[Figure, Axes]:
    """A panel with quiet axes: grid, no frame."""
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes


def add_legend(axes: Axes) -> None:
    """A legend without frame, in the page's ink."""
    legend = axes.legend(frameon=False, fontsize=8.5, loc="best")
    for text in legend.get_texts():
        text.set_color(INK)


def as_svg(figure: Figure, prefix: str) -> str:
    """The figure as SVG without declaration; ``prefix`` keeps its ids apart from those of others on the page.

    It is drawn once and becomes transparent; `Figure.savefig` would draw it twice for the layout.
    """
    text = io.StringIO()
    nothing: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")
    # text stays text, and ids come from the content alone: equal runs give equal pages
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        FigureCanvasSVG(figure).print_svg(text, metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    # two figures in one page must not share ids, or the second would borrow the first one's marks
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(href="|url\()#', rf"\1#{prefix}-", svg)
