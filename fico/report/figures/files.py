"""Figures of a bench as files: SVG with text as text, PNG, and pixels."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fico.report.figures.save import save
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

DPI = 160
INK, FAINT = "#2a2f36", "#d9d7d2"
# Okabe and Ito's colours, which colour-blind readers can tell apart, then more, told apart by their marks too
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8a5a00", "#7a3fb0", "#1b9aaa",
    "#a3b18a", "#6b705c", "#9d0208", "#2a9d2a", "#f72585", "#4361ee", "#b5838d", "#ffb703",
)  # fmt: skip
MARKERS = "osD^vPX*h<>p"
_UNDATED = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def style(axes: Axes, across: str, up: str) -> None:
    """Quiet axes: grid, no frame."""
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.tick_params(colors=INK, length=0, labelsize=9, which="both")
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def write_figures(folder: Path, figures: Mapping[str, Figure], other: Literal["png", "pdf"] = "png") -> dict[str, str]:
    """Writes ``NAME.svg`` of each, and ``NAME.png`` or for papers ``NAME.pdf``.

    Args:
        folder: Where to write.
        figures: By name.
        other: The other format.

    Returns:
        SVG markup by name, without the XML declaration, in the colours of a page, light or dark.
    """
    markup = {}
    for name, figure in figures.items():
        svg = _bytes(figure, "svg")
        for ending, content in (("svg", svg), (other, _bytes(figure, other))):
            with atomic_write(folder / f"{name}.{ending}") as temporary:
                temporary.write_bytes(content)
        text = svg.decode()
        markup[name] = _in_page_colours(text[text.index("<svg") :])
    return markup


def _in_page_colours(svg: str) -> str:
    """Without background, with the page's ink; other colours may be replaced by the page's style, as ``--c-0072b2``."""
    for colour, variable in ((INK, "var(--ink)"), (FAINT, "var(--faint)"), ("#ffffff", "transparent")):
        svg = svg.replace(colour, variable)
    return re.sub(r"#([0-9a-f]{6})(?=[;\"])", r"var(--c-\1, #\1)", svg)


def as_image(figure: Figure) -> Image.Image:
    """The figure as pixels."""
    return Image.open(io.BytesIO(_bytes(figure, "png"))).convert("RGB")


def _bytes(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    # ids from the content alone and no date: equal numbers give equal files
    nothing: dict[str, Any] = _UNDATED[kind]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fico", "pdf.fonttype": 42}):
        save(figure, out, kind, dpi=DPI, facecolor="white", metadata=nothing)
    return out.getvalue()
