"""The curves of a run as lines: recall over its cut-off, precision over recall, both over the Hamming radius."""

from collections.abc import Mapping

from fico.evaluation.result import RadiusCurve
from fico.metrics.specification import DIRECTIONS
from fico.report.results.schema import Results

Lines = dict[str, list[tuple[float, float]]]
Chart = tuple[Lines, str, str]  # lines, title, what the horizontal axis shows


def curves(results: Results, radii: Mapping[str, RadiusCurve]) -> dict[str, Chart]:
    """Charts by name; those without a line are left out. Values are fractions from 0 to 1.

    Args:
        results: Of a tested run.
        radii: Precision and recall per Hamming radius, by ``category/{direction}``.
    """
    charts: dict[str, Chart] = {
        "recall": (_points(results, "instance", "R@"), "recall at k", "k"),
        "precision_recall": (_points(results, "category", "PR@"), "interpolated precision over recall", "recall"),
        "radius": (_radii(radii), "precision and recall within a Hamming radius", "radius"),
    }
    return {name: chart for name, chart in charts.items() if chart[0]}


def _points(results: Results, task: str, prefix: str) -> Lines:
    """Each direction and its level of chance a line through the metrics ``{prefix}{number}``."""
    lines: Lines = {}
    for way in DIRECTIONS:
        for level in ("", "chance/"):
            start = f"{results.data.split}/{task}/{way}/{level}{prefix}"
            found = {name: metric.value for name, metric in results.metrics.items() if name.startswith(start)}
            if found:
                points = ((float(name.removeprefix(start)), value) for name, value in found.items())
                lines[f"{way}, chance" if level else way] = sorted(points)
    return lines


def _radii(radii: Mapping[str, RadiusCurve]) -> Lines:
    return {
        f"{key.rpartition('/')[2]}, {name}": list(zip(curve.radius.tolist(), values.tolist(), strict=True))
        for key, curve in radii.items()
        for name, values in (("precision", curve.precision), ("recall", curve.recall))
    }
