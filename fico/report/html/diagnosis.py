"""Why a run has its numbers: where the relevant items rank, which categories it finds, how far pairs are held apart."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from fico.datasets.base import RetrievalSplit
from fico.evaluation.result import RetrievalResult
from fico.metrics.specification import Direction
from fico.report.html.bars import Bar, bars
from fico.report.html.category_table import category_table
from fico.report.html.pair_similarity import PairSimilarity, Score, pair_similarity
from fico.report.results.per_query import DIRECTIONS
from fico.report.table.table import Table

EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 10**6, 10**9)


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """What the page of a run says of its errors.

    Args:
        ranks: By direction, the queries by the rank of their first relevant item.
        categories: Quality per category; None without labels.
        pairs: Similarity of matching and of random pairs; None where nothing was scored.
    """

    ranks: dict[Direction, tuple[Bar, ...]]
    categories: Table | None
    pairs: PairSimilarity | None


def diagnose(result: RetrievalResult, split: RetrievalSplit, score: Score, seed: int) -> Diagnosis:
    """From the values of single queries.

    Args:
        result: Of the split.
        split: That was evaluated.
        score: Of pairs of image and caption rows.
        seed: Of what is drawn.
    """
    ranks = {way: rank_bars(result.per_query[way].ranks) for way in DIRECTIONS if way in result.per_query}
    return Diagnosis(
        {way: found for way, found in ranks.items() if found},
        category_table(result, split, seed),
        pair_similarity(score, split.correspondence, len(split.image_ids), seed),
    )


def rank_bars(ranks: Float64[np.ndarray, " queries"]) -> tuple[Bar, ...]:
    """Queries by rank, in steps that grow; those without a rank last. Empty where no query has one."""
    known = ranks[~np.isnan(ranks)]
    if not len(known):
        return ()
    ends = EDGES[: int(np.searchsorted(EDGES, known.max())) + 1]
    counts = np.diff([0, *((known <= end).sum() for end in ends)]).tolist()
    names = ["1", *(f"to {end:,}" for end in ends[1:])]
    unranked = len(ranks) - len(known)
    return bars([*names, *(["none"] if unranked else [])], [*counts, *([unranked] if unranked else [])])
