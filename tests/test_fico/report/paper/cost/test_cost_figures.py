"""What the figures of cost show: each system once, the frontier that nothing beats, intervals as measured."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fico.report.paper.cost.cost_figures import attention_figure, code_length_figure, hubness_figure
from fico.report.paper.figures import trade_off_figure
from fico.report.paper.quality_cost import System, frontier, quality_cost_figure, systems
from fico.report.results.metric import Metric
from fico.report.results.model_names import display_name
from fico.report.results.schema import ModelInfo, SearchRow
from fico.report.results.seeds import group_seeds


def searched(index, milliseconds, recall):
    return tuple(
        SearchRow(index, 100, 500, 0.1, 0.1 * milliseconds, 1000, {1: 1.0}, {1: 1.0},
                  {"direction": way, "task": {"R@10": recall, "mAP@100": recall}})
        for way in ("i2t", "t2i")
    )  # fmt: skip


def model(results, name, bits=None, value=0.5, **changed):
    metrics = {
        key: Metric(value, value - 0.1, value + 0.1, 500, "What it is.")
        for way in ("i2t", "t2i")
        for key in (f"test/instance/{way}/R@10", f"test/category/{way}/mAP@100", f"test/category/{way}/mAP@N")
    }
    info = ModelInfo(name, "coarse" if bits else "fine", "tiny", None if bits else 64, bits, "float32",
                     query_time_attention=name == "scan")  # fmt: skip
    config = {"model": {"name": name, "bits": bits}}
    return replace(results, model=info, metrics=metrics, config=config, search=(), efficiency={}, **changed)


def test_the_frontier_is_what_no_system_beats():
    draw = np.random.default_rng(0)
    points = [System(str(n), None, *draw.random(2).round(1)) for n in range(60)]
    front = frontier(points)
    for point in points:
        is_beaten = any(
            other.milliseconds <= point.milliseconds and other.quality >= point.quality and
            (other.milliseconds, other.quality) != (point.milliseconds, point.quality) for other in points
        )  # fmt: skip
        assert (any((f.milliseconds, f.quality) == (point.milliseconds, point.quality) for f in front)) != is_beaten


def test_a_model_with_attention_is_one_system_and_another_one_for_each_index(results):
    scan = replace(model(results, "scan", value=0.9), efficiency={"attention_seconds": 3.0})
    vsrn = replace(model(results, "vsrn"), search=(*searched("flat", 2, 0.5), *searched("hnsw", 1, 0.4)))
    found = {s.label: s for s in systems(group_seeds([scan, vsrn]), "instance", "R@10")}
    assert set(found) == {"SCAN", "VSRN, flat", "VSRN, hnsw"}
    assert found["SCAN"].milliseconds == pytest.approx(1.0), "3 s over 3,000 queries"
    assert found["SCAN"].quality == pytest.approx(0.9)
    assert found["VSRN, hnsw"].milliseconds == pytest.approx(1.0)
    figure, meaning = quality_cost_figure([scan, vsrn])
    assert meaning == "1 SCAN"
    assert len(figure.axes) == 2


def test_code_lengths_are_drawn_with_the_interval_of_their_run(results):
    runs = [model(results, "ucch", bits, 0.2 + bits / 200) for bits in (16, 64)]
    axes = code_length_figure([*runs, model(results, "vsrn")]).axes[0]
    (container,) = axes.containers
    np.testing.assert_allclose(container.lines[0].get_xydata(), [[16, 28], [64, 52]])
    (bars,) = container.lines[2]
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[18, 38], [42, 62]])
    assert code_length_figure(runs[:1]) is None


def test_attention_is_drawn_over_two_sizes_and_hubness_over_two_models(results):
    sizes = [replace(results.data, images=n, fingerprint=str(n)) for n in (100, 200)]
    runs = [replace(model(results, "scan"), data=d, efficiency={"attention_seconds": float(d.images)}) for d in sizes]
    np.testing.assert_allclose(attention_figure(runs).axes[0].get_lines()[0].get_xydata(), [[100, 100], [200, 200]])
    assert attention_figure(runs[:1]) is None
    other = [replace(run, seed=1, hardware={"cpu": "another"}) for run in runs]
    drawn = attention_figure([*runs, *other]).axes[0].get_lines()
    assert [line.get_label() for line in drawn] == ["SCAN, a CPU, float32", "SCAN, another, float32"]
    coco = replace(runs[1], data=replace(runs[1].data, name="coco"))
    assert attention_figure([runs[0], coco]) is None, "another data set is no second size"
    measured = {"i2t": {"skew_at_10": 2.5}, "t2i": {"skew_at_10": 1.5}}
    hubs = [replace(model(results, name), hubness=measured) for name in ("vsrn", "cca")]
    assert [list(line.get_xdata()) for line in hubness_figure(hubs).axes[0].get_lines()[:2]] == [[2.5, 2.5], [1.5, 1.5]]
    assert hubness_figure(hubs[:1]) is None


def test_figure_4_shows_the_tasks_recall_and_stays_on_its_page_with_twelve_models(results):
    rows = [(*searched("flat", 1 + n, 0.3), *searched("hnsw", 0.5 + n, 0.2)) for n in range(12)]
    runs = [replace(model(results, f"m{n}", value=0.3), search=own) for n, own in enumerate(rows)]
    figure = trade_off_figure(runs)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["image to text", "text to image"]
    points = [line.get_ydata()[0] for line in figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    assert sorted(points) == [20.0] * 12 + [30.0] * 12
    FigureCanvasAgg(figure).draw()
    boxes = [Text.get_window_extent(text) for axes in figure.axes for text in axes.texts]
    assert len(boxes) == 24
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 for box in boxes)


def test_models_are_written_as_their_authors_do():
    assert display_name("ucch, 64 bits") == "UCCH, 64 bits"
    assert display_name("xvlm_nf (k=3)") == "X-VLM without fusion (k=3)"
    assert display_name("ours") == "ours"
    assert display_name("adv(64bit)") == "ADV(64bit)"
