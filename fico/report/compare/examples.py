"""On which queries one of two sides is better: counts, and the queries on which they differ most."""

from collections.abc import Mapping, Sequence

import numpy as np

from fico.report.compare.compare import Contender, contenders_of
from fico.report.compare.paired import QueryValues
from fico.report.results.display import DIRECTION_NAMES, metric_text
from fico.report.results.runs import FinishedRun
from fico.report.table.table import Cell, Column, Row, Table


def examples(runs: Sequence[FinishedRun], captions: Mapping[str, str], *, count: int = 3) -> list[Table]:
    """For every other side and direction the queries that it answers better and worse than the first side.

    Args:
        runs: As `compare` takes them.
        captions: Texts of the queries by id, as far as they are known.
        count: Queries of each kind.

    Returns:
        Tables of ranks of the first relevant item; none of a direction whose queries have no ranks.
    """
    values, (reference, *others) = QueryValues(runs), contenders_of(runs)
    tables = (_table(values, reference, other, way, captions, count) for other in others for way in DIRECTION_NAMES)
    return [table for table in tables if table is not None]


def _table(
    values: QueryValues,
    reference: Contender,
    other: Contender,
    way: str,
    captions: Mapping[str, str],
    count: int,
) -> Table | None:
    before, after = (values.ranks(side.runs, way) for side in (reference, other))
    known = ~(np.isnan(before) | np.isnan(after))
    if not known.any():
        return None
    gains = np.where(known, np.log(np.where(known, before, 1)) - np.log(np.where(known, after, 1)), 0.0)
    order = np.argsort(-gains, kind="stable")
    chosen = [*(row for row in order[:count] if gains[row] > 0), *(row for row in order[-count:] if gains[row] < 0)]
    ids = values.ids(reference.runs[0], way)
    rows = tuple(
        Row((Cell(captions.get(ids[row], ids[row])), *(_rank(side[row]) for side in (before, after)))) for row in chosen
    )
    won, lost, queries = int((gains > 0).sum()), int((gains < 0).sum()), int(known.sum())
    title = (
        f"{DIRECTION_NAMES[way].capitalize()}: {other.label} ranks the first relevant item better than "
        f"{reference.label} for {won:,} of {queries:,} queries, worse for {lost:,}; where they differ most"
    )
    columns = (Column("query", is_text=True), *(Column(f"rank,\n{side.label}") for side in (reference, other)))
    return Table(f"examples-{way}", title, columns, rows)


def _rank(rank: float) -> Cell:
    return Cell(metric_text("rank", float(rank)), numbers={"": float(rank)})
