"""What a finished run found: the first items of every query, and the rank of the first relevant one."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from fico.embeddings.store import EmbeddingStore
from fico.metrics.specification import DIRECTIONS, Direction
from fico.report.html.samples import Rank, exact_rank, matrix_rank
from fico.report.results.per_query import QUERIES, read_queries
from fico.report.results.runs import FinishedRun
from fico.report.results.stored_scores import stored_scores
from fico.scoring.candidates import FILL

SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What one run found for the queries of one direction.

    Args:
        items: The first items of each query, best first; -1 behind the candidates of a re-ranking.
        ranks: Of the first relevant item, from 1, under the run's tie rule; NaN where none was ranked.
    """

    items: Int64[np.ndarray, "queries k"]
    ranks: Float64[np.ndarray, " queries"]


def found_by(
    run: FinishedRun, store: EmbeddingStore, queries: dict[Direction, Int64[np.ndarray, " queries"]]
) -> dict[Direction, Found]:
    """The rankings of a run, from the embeddings or scores and the ranks that it stored.

    Args:
        run: A finished run.
        store: Its embeddings.
        queries: Rows of the queries of each direction.

    Raises:
        DataError: A file of the run is missing, damaged or changed.
    """
    model = run.results.config["model"]
    scores = stored_scores(run.folder, store, model)
    if scores is None:
        rank: Rank = exact_rank(store.images, store.texts, model["similarity"], store.bits, depth=SHOWN)
    else:
        rank = matrix_rank(*scores, depth=SHOWN)
    is_reranked = bool(model.get("rerank"))
    tables = read_queries(run.folder / QUERIES, run.results.files.get(QUERIES))
    found: dict[Direction, Found] = {}
    for direction in DIRECTIONS:
        ranking = rank(direction, queries[direction])
        is_behind = is_reranked & ((ranking.scores == FILL) | np.isneginf(ranking.scores))
        ids = store.image_ids if direction == "i2t" else store.caption_ids
        table = tables.get(direction)
        by_id = {} if table is None else dict(zip(table.ids, table.first_ranks.tolist(), strict=True))
        ranks = np.array([by_id.get(ids[row], np.nan) for row in queries[direction].tolist()])
        found[direction] = Found(np.where(is_behind, -1, ranking.indices), ranks)
    return found
