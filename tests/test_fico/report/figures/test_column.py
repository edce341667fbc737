"""Figures of one column's width: labels that do not touch and lie on the page, however many there are."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from fico.report.figures import files
from fico.report.figures.column import TYPE, WIDTH, EndLabel, add_end_labels, column_panels, quiet
from fico.report.figures.files import as_image, write_figures


def drawn(heights):
    figure, (axes,) = column_panels(1, len(heights))
    quiet(axes, "a title", "%", "x")
    axes.set_ylim(0, 100)
    add_end_labels(figure, axes, [EndLabel(y, f"label {n}", "#0072b2") for n, y in enumerate(heights)])
    FigureCanvasAgg(figure).draw()
    return figure, axes


@pytest.mark.parametrize(
    "heights", [[50.0], [50, 50, 50], [0, 1, 2, 99, 100], [30.0] * 12, list(np.linspace(0, 9, 20))]
)
def test_labels_touch_neither_each_other_nor_the_edge(heights):
    figure, axes = drawn(heights)
    boxes = sorted((Text.get_window_extent(text) for text in axes.texts), key=lambda box: box.y0)
    centres = [(box.y0 + box.y1) / 2 for box in boxes]
    assert min(np.diff(centres), default=np.inf) >= 0.95 * TYPE / 72 * figure.dpi
    assert min(box.y0 for box in boxes) >= 0
    assert max(box.y1 for box in boxes) <= figure.bbox.height
    assert max(box.x1 for box in boxes) <= figure.bbox.width
    assert figure.get_figwidth() == WIDTH


def test_labels_keep_the_order_of_their_lines():
    _, axes = drawn([70, 10, 40, 40.5])
    heights = {text.get_text(): text.get_window_extent().y0 for text in axes.texts}
    assert sorted(heights, key=heights.get) == ["label 1", "label 2", "label 3", "label 0"]


def test_equal_figures_give_equal_files_and_the_page_gets_its_own_colours(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        markup = write_figures(tmp_path / folder, {"one": drawn([10, 90])[0]}, "pdf")["one"]
    for ending in ("svg", "pdf"):
        assert (tmp_path / "a" / f"one.{ending}").read_bytes() == (tmp_path / "b" / f"one.{ending}").read_bytes()
    assert "var(--c-0072b2, #0072b2)" in markup
    assert "var(--ink)" in markup
    assert "#ffffff" not in markup
    assert "var(" not in (tmp_path / "a" / "one.svg").read_text(), "a file has no page"


def test_pixels_have_the_size_of_the_figure():
    assert as_image(drawn([1.0])[0]).width == round(WIDTH * 160)


def with_legends():
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.add_subplot(xlabel="items", ylabel="seconds", xscale="log", title="two lines")
    for line in range(2):
        axes.plot([1, 10, 100], [line, 2, 3 * line], label=f"line {line}")
    axes.legend(loc="best")
    figure.legend(loc="outside lower center")
    return figure


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_a_figure_is_saved_to_the_byte_as_matplotlib_saves_it_and_keeps_its_layout(monkeypatch, kind):
    figure = with_legends()
    before = figure.get_layout_engine(), figure.canvas, figure.dpi
    saved = files._bytes(figure, kind)
    assert (figure.get_layout_engine(), figure.canvas, figure.dpi) == before
    monkeypatch.setattr(files, "save", lambda figure, file, kind, **how: figure.savefig(file, format=kind, **how))
    assert saved == files._bytes(with_legends(), kind)
