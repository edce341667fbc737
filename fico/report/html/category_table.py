"""Quality per category, with intervals: which kinds of images a model finds, and which it does not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from fico.datasets.base import RetrievalSplit
from fico.evaluation.result import PerQuery, RetrievalResult
from fico.metrics.bootstrap import ClusteredValues, percentile_intervals, replicates
from fico.report.results.display import DIRECTION_NAMES
from fico.report.table.table import NOTHING, Cell, Column, Row, Scale, Table

MOST = 100  # categories, the most frequent ones
RESAMPLES = 400
READING = (
    "Means over the queries whose image has the category, with 95 % intervals (bootstrap over images); a query of "
    "several categories counts in each. Sorted by {by}, the mean of both directions, lowest first."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    """One metric of the queries of a direction, NaN where it does not apply."""

    direction: str
    name: str
    values: Float64[np.ndarray, " queries"]
    queries: PerQuery


def category_table(result: RetrievalResult, split: RetrievalSplit, seed: int = 0) -> Table | None:
    """One row for each category, the lowest recall first; None without labels.

    Args:
        result: Of the split.
        split: With labels.
        seed: Of the bootstrap.
    """
    if split.labels is None:
        return None
    measured = list(_measured(result))
    counts = split.labels.sum(axis=0)
    chosen = [c for c in np.argsort(-counts, kind="stable")[:MOST].tolist() if counts[c]]
    if not measured or not chosen:
        return None
    samples = [_sample(each, split.labels[:, column]) for column in chosen for each in measured]
    drawn = replicates(samples, len(split.image_ids), RESAMPLES, (seed,))
    cells = [_cell(sample, draws) for sample, (draws, _) in zip(samples, drawn, strict=True)]
    sorting = list(dict.fromkeys(each.name for each in measured if each.name[0] == "R"))
    sorting = sorting or list(dict.fromkeys(each.name for each in measured))
    rows = []
    for number, column in enumerate(chosen):
        own = cells[number * len(measured) : (number + 1) * len(measured)]
        found = [c.numbers.get("", np.inf) for c, each in zip(own, measured, strict=True) if each.name in sorting]
        name = Cell(split.classes[column]), Cell(f"{counts[column]:,}")
        rows.append((float(np.mean(found)), Row((*name, *own))))
    columns = (
        Column("category", is_text=True),
        Column("images"),
        *(Column(each.name, DIRECTION_NAMES[each.direction], tone=each.direction) for each in measured),
    )
    left_out = len(split.classes) - len(chosen)
    notes = (
        READING.format(by=" and ".join(sorting)),
        *([f"{left_out} rarer or empty categories are left out."] if left_out else []),
    )
    ordered = tuple(row for _, row in sorted(rows, key=lambda each: each[0]))
    return Table("categories", "Quality per category", columns, ordered, notes)


def _measured(result: RetrievalResult) -> Iterator[_Values]:
    """R@10, or the largest cut-off below, and the AP of the whole ranking, or up to its largest cut-off."""
    for direction, queries in result.per_query.items():
        cuts = [int(key.partition("@")[2]) for key in queries.values if key.startswith("instance/R@")]
        cut = max((k for k in cuts if k <= 10), default=None)
        if cut is not None and f"instance/{direction}/R@{cut}" in result.metrics:
            yield _Values(direction, f"R@{cut}", queries.values[f"instance/R@{cut}"], queries)
        known = [key for key in queries.average_precision if f"category/{direction}/mAP@{key}" in result.metrics]
        if known:
            last = max(known, key=lambda key: float(key.replace("N", "inf")))
            yield _Values(direction, f"mAP@{last}", queries.average_precision[last], queries)


def _sample(each: _Values, has_category: Bool[np.ndarray, " images"]) -> ClusteredValues:
    valid = has_category[each.queries.images] & ~np.isnan(each.values)
    return ClusteredValues(np.nan_to_num(each.values)[:, None], valid, each.queries.images)


def _cell(sample: ClusteredValues, draws: Float64[np.ndarray, "resamples 1"]) -> Cell:
    if not sample.valid.any():
        return Cell(NOTHING)
    value = 100 * float(sample.values[sample.valid].mean())
    low, high = (100 * percentile_intervals(draws)[0]).tolist()
    scale = Scale(value, low, high)
    return Cell(f"{value:.1f}", f"{low:.0f}–{high:.0f}", {"": value, "low": low, "high": high}, scale=scale)
