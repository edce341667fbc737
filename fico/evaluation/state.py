"""Values per query of one evaluation, by fold, direction and task: what the engines return and what processes merge."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from fico.evaluation.options import EvaluationOptions
from fico.metrics.specification import Direction


@dataclass(frozen=True, slots=True, eq=False)
class TaskValues:
    """Values of one task for some queries of one direction.

    Args:
        relevant_counts: Relevant items of each query.
        values: ``queries columns``, under the tie rule; columns as ``EvaluationOptions.columns``. NaN for a query
            without relevant item at instance level, 0 at category level.
        bounds: Pessimistic and optimistic values, or None where no tied block mixes relevant and non-relevant items.
    """

    relevant_counts: Int64[np.ndarray, " queries"]
    values: Float64[np.ndarray, "queries columns"]
    bounds: tuple[Float64[np.ndarray, "queries columns"], Float64[np.ndarray, "queries columns"]] | None


@dataclass(frozen=True, slots=True, eq=False)
class BlockValues:
    """Values of successive queries of one direction: a few numbers per query, nothing per pair.

    Args:
        start: First query row.
        tasks: Values by task.
        scored: Items per query that a re-ranking scored, where the others hold its fill value; else None.
        curves: ``2 pieces radii``: per piece of queries the sums of precision and of recall per Hamming radius, for
            codes with labels; added up in order, so that they do not depend on the number of processes.
    """

    start: int
    tasks: dict[str, TaskValues]
    scored: Int64[np.ndarray, " queries"] | None = None
    curves: Float64[np.ndarray, "2 pieces radii"] | None = None

    @property
    def queries(self) -> int:
        """Number of queries."""
        return max(len(values.relevant_counts) for values in self.tasks.values())


def join_blocks(blocks: Sequence[BlockValues]) -> BlockValues:
    """Concatenates the blocks of successive queries, in any order.

    Raises:
        ValueError: The blocks leave a gap or overlap.
    """
    blocks = sorted(blocks, key=lambda block: (block.start, block.queries))
    if len(blocks) == 1:
        return blocks[0]
    for first, second in pairwise(blocks):
        if first.start + first.queries != second.start:
            raise ValueError(f"queries {first.start + first.queries} and {second.start} do not follow each other")
    scored = [block.scored for block in blocks if block.scored is not None]
    curves = [block.curves for block in blocks if block.curves is not None]
    return BlockValues(
        blocks[0].start,
        {task: _join_values([block.tasks[task] for block in blocks]) for task in blocks[0].tasks},
        np.concatenate(scored) if scored else None,
        np.concatenate(curves, axis=1) if curves else None,
    )


def _join_values(parts: list[TaskValues]) -> TaskValues:
    bounds = None
    if any(part.bounds is not None for part in parts):
        pairs = [part.bounds or (part.values, part.values) for part in parts]
        bounds = (np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs]))
    return TaskValues(
        np.concatenate([part.relevant_counts for part in parts]),
        np.concatenate([part.values for part in parts]),
        bounds,
    )


@dataclass(frozen=True, slots=True, eq=False)
class DirectionState:
    """Values of one direction with what is needed to sum them up.

    Args:
        images: Image row with which every query of the direction is resampled, evaluated here or not; -1 for none.
        items: Size of the gallery.
        block: Values of the evaluated queries.
        occurrences: Of each item among their first K, in units of ``fico.metrics.hubness.UNIT``.
    """

    images: Int64[np.ndarray, " queries"]
    items: int
    block: BlockValues
    occurrences: Int64[np.ndarray, " items"]


@dataclass(frozen=True, slots=True, eq=False)
class FoldState:
    """State of one fold; query and image rows count within the fold.

    Args:
        image_rows: Row of each of its images in the whole set.
        text_rows: Row of each of its captions in the whole set.
        directions: State by direction.
        notes: What a reader must know about its embeddings.
        database: Rows of the images and of the captions that are searched, where they are others than these.
    """

    image_rows: Int64[np.ndarray, " images"]
    text_rows: Int64[np.ndarray, " captions"]
    directions: dict[Direction, DirectionState]
    notes: tuple[str, ...] = ()
    database: tuple[np.ndarray, np.ndarray] | None = None

    def item_rows(self, direction: Direction) -> Int64[np.ndarray, " items"]:
        """Row of each item of a direction in the whole set."""
        images, texts = self.database or (self.image_rows, self.text_rows)
        return texts if direction == "i2t" else images


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationState:
    """Values per query before the means are taken; the states of several processes can be merged.

    Args:
        options: What was computed.
        folds: A single fold for a plain evaluation.
        shard: ``(rank, world size)`` of the process that evaluated it.
        notes: What a reader must know about the embeddings.
        is_many: The positives of the instance task were given as pairs.
        corrected: Of the scores after a hubness correction, where one was asked for.
        literature: With the definitions of the hashing literature, where queries search a database.
    """

    options: EvaluationOptions
    folds: tuple[FoldState, ...]
    shard: tuple[int, int] = (0, 1)
    notes: tuple[str, ...] = ()
    is_many: bool = False
    corrected: "EvaluationState | None" = None
    literature: "EvaluationState | None" = None
