"""What an evaluation is asked and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from fico.metrics.options import EvaluationOptions
from fico.metrics.specification import Direction, Task


@dataclass(frozen=True, slots=True, eq=False)
class TaskValues:
    """Values of one task for some queries of one direction.

    Args:
        right: Right items of each query.
        values: ``queries columns``, under the rule for ties; columns as ``EvaluationOptions.columns``. NaN for a query
            without relevant item at instance level, 0 at category level.
        bounds: Pessimistic and optimistic values, or None where no tied block mixes right and wrong items.
    """

    right: Int64[np.ndarray, " queries"]
    values: Float64[np.ndarray, "queries columns"]
    bounds: tuple[Float64[np.ndarray, "queries columns"], Float64[np.ndarray, "queries columns"]] | None


@dataclass(frozen=True, slots=True, eq=False)
class BlockValues:
    """Everything that successive queries leave behind: a few numbers per query, nothing per pair.

    Args:
        start: First query row.
        tasks: Values by task.
        touched: Scored items per query, where the others hold the fill value of a fused re-ranking; else None.
        curves: ``2 pieces radii``: per piece of queries the sums of precision and of recall per Hamming radius, for
            codes with labels; added up in order, so that they do not depend on the number of processes.
    """

    start: int
    tasks: dict[Task, TaskValues]
    touched: Int64[np.ndarray, " queries"] | None = None
    curves: Float64[np.ndarray, "2 pieces radii"] | None = None

    @property
    def queries(self) -> int:
        """Number of queries."""
        return max(len(values.right) for values in self.tasks.values())


def join_blocks(blocks: Sequence[BlockValues]) -> BlockValues:
    """One block out of successive ones, given in any order.

    Raises:
        ValueError: The blocks leave a gap or overlap.
    """
    blocks = sorted(blocks, key=lambda block: (block.start, block.queries))
    if len(blocks) == 1:
        return blocks[0]
    for first, second in pairwise(blocks):
        if first.start + first.queries != second.start:
            raise ValueError(f"queries {first.start + first.queries} and {second.start} do not follow each other")
    touched = [block.touched for block in blocks if block.touched is not None]
    curves = [block.curves for block in blocks if block.curves is not None]
    return BlockValues(
        blocks[0].start,
        {task: _join_values([block.tasks[task] for block in blocks]) for task in blocks[0].tasks},
        np.concatenate(touched) if touched else None,
        np.concatenate(curves, axis=1) if curves else None,
    )


def _join_values(parts: list[TaskValues]) -> TaskValues:
    bounds = None
    if any(part.bounds is not None for part in parts):
        pairs = [part.bounds or (part.values, part.values) for part in parts]
        bounds = (np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs]))
    return TaskValues(
        np.concatenate([part.right for part in parts]), np.concatenate([part.values for part in parts]), bounds
    )


@dataclass(frozen=True, slots=True, eq=False)
class DirectionState:
    """Values of one direction with what is needed to sum them up.

    Args:
        images: Image row of every query of the direction, evaluated here or not.
        items: Size of the gallery.
        block: Values of the evaluated queries.
    """

    images: Int64[np.ndarray, " queries"]
    items: int
    block: BlockValues


@dataclass(frozen=True, slots=True, eq=False)
class FoldState:
    """State of one fold; query and image rows count within the fold.

    Args:
        image_rows: Row of each of its images in the whole set.
        text_rows: Row of each of its captions in the whole set.
        directions: State by direction.
    """

    image_rows: Int64[np.ndarray, " images"]
    text_rows: Int64[np.ndarray, " captions"]
    directions: dict[Direction, DirectionState]


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationState:
    """Values per query before the means are taken; the states of several processes can be merged.

    Args:
        settings: The definitions.
        folds: A single fold for a plain evaluation.
        share: Which process of how many made it.
    """

    settings: EvaluationOptions
    folds: tuple[FoldState, ...]
    share: tuple[int, int] = (0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class PerQuery:
    """Values of single queries of one direction, in the order of their rows.

    Args:
        rows: Row of each query in its side (images for i2t, captions for t2i).
        images: Image row that each query belongs to; queries of one image are resampled together.
        ranks: Rank of the first right item at instance level, from 1, fractional under expected ties; NaN where
            the query has no right item or the task was left out.
        average_precision: Category level, by cut (``"10"``, ``"100"``, ``"N"``): AP of each query, 0 to 1; NaN where
            the query is left out. Empty without labels.
        values: Every per-query metric by its name without direction (``"instance/R@1"``, ``"category/PR@0.5"``).
    """

    rows: Int64[np.ndarray, " queries"]
    images: Int64[np.ndarray, " queries"]
    ranks: Float64[np.ndarray, " queries"]
    average_precision: dict[str, Float64[np.ndarray, " queries"]]
    values: dict[str, Float64[np.ndarray, " queries"]]


@dataclass(frozen=True, slots=True, eq=False)
class RadiusCurve:
    """Precision and recall of all items within each Hamming radius; free of ties, because a radius takes whole blocks.

    Args:
        radius: 0 to ``bits``.
        precision: Mean over queries; a query that finds nothing within a radius counts 0 there.
        recall: Mean over queries; a query without any relevant item counts 0.
    """

    radius: Int64[np.ndarray, " radii"]
    precision: Float64[np.ndarray, " radii"]
    recall: Float64[np.ndarray, " radii"]


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalResult:
    """All metrics of one evaluation. Keys read ``{task}/{direction}/{metric}``, as ``instance/i2t/R@1``.

    Args:
        metrics: Fractions 0 to 1; MedR and MeanR in items, from 1. Beside each metric stands the level that chance
            reaches, as ``{task}/{direction}/chance/{metric}``. A metric that does not apply is absent, and a note
            says why.
        intervals: 95 % bootstrap interval ``(low, high)`` of each metric; chance has no spread: ``(value, value)``.
        queries: Number of queries behind each metric.
        definitions: One line per metric that says what was computed.
        tie_bounds: ``(pessimistic, optimistic)`` of each metric that tied scores touch: right items last or first
            within every tied block.
        notes: What a reader must know: empty queries, images without captions, metrics that do not apply.
        per_query: By direction; the source of intervals, paired tests and exports.
        curves: By ``category/{direction}``: precision and recall per Hamming radius, for codes with labels.
        state: What ``merge_results`` needs to join the shares of several processes.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    queries: dict[str, int]
    definitions: dict[str, str]
    tie_bounds: dict[str, tuple[float, float]]
    notes: tuple[str, ...]
    per_query: dict[str, PerQuery]
    curves: dict[str, RadiusCurve] = field(default_factory=dict)
    state: EvaluationState | None = field(default=None, repr=False)
