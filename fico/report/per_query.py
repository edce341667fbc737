"""What each query got: the rows of ``per_query.csv.gz``."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fico.tasks.base import Direction

DIRECTIONS: tuple[Direction, ...] = ("i2t", "t2i")


@dataclass(frozen=True, slots=True, eq=False)
class QueryTable:
    """The queries of one direction.

    Args:
        direction: ``"i2t"`` or ``"t2i"``.
        ids: Id of each query: an image's for ``i2t``, a caption's for ``t2i``.
        first_ranks: Rank of the first right item, from 1; NaN where the query has none.
        average_precisions: By cut (``"10"``, ``"100"``, ``"N"``), fractions; NaN where it does not apply.
    """

    direction: str
    ids: tuple[str, ...]
    first_ranks: Float[np.ndarray, " queries"]
    average_precisions: dict[str, Float[np.ndarray, " queries"]]


def queries_csv(tables: Iterable[QueryTable]) -> str:
    """All queries as CSV: ``query,direction,first_rank,AP@10,...``; empty where a value does not apply.

    Numbers are written with 9 significant digits: ranks under ties are fractions.
    """
    tables = tuple(tables)
    cuts = list(dict.fromkeys(cut for table in tables for cut in table.average_precisions))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "direction", "first_rank", *(f"AP@{cut}" for cut in cuts)])
    for table in tables:
        absent = np.full(len(table.ids), np.nan)
        columns = [table.first_ranks, *(table.average_precisions.get(cut, absent) for cut in cuts)]
        for query, *values in zip(table.ids, *columns, strict=True):
            writer.writerow([query, table.direction, *("" if np.isnan(v) else f"{v:.9g}" for v in values)])
    return text.getvalue()
