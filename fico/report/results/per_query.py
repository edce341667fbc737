"""Per-query ranks, AP and recall: the rows of ``per_query.csv.gz``."""

import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fico.metrics.specification import DIRECTIONS as DIRECTIONS
from fico.util.damaged import readable
from fico.util.digests.digest import check_file

QUERIES = "per_query.csv.gz"


@dataclass(frozen=True, slots=True, eq=False)
class QueryTable:
    """The queries of one direction.

    Args:
        direction: ``"i2t"`` or ``"t2i"``.
        ids: Id of each query: an image's for ``i2t``, a caption's for ``t2i``.
        first_ranks: Rank of the first relevant item, from 1; NaN where the query has none, or no re-ranking scored it.
        average_precisions: By cut (``"10"``, ``"100"``, ``"N"``), fractions; NaN where it does not apply.
        images: Id of the image that each query belongs to: what a paired test must not take apart. Empty: not known.
        recalls: By cut (``"1"``, ``"10"``): whether a relevant item is among the first, a fraction under expected ties.
        others: Any other metric by task and name (``"category/P@5"``).
    """

    direction: str
    ids: tuple[str, ...]
    first_ranks: Float[np.ndarray, " queries"]
    average_precisions: dict[str, Float[np.ndarray, " queries"]]
    images: tuple[str, ...] = ()
    recalls: dict[str, Float[np.ndarray, " queries"]] = field(default_factory=dict)
    others: dict[str, Float[np.ndarray, " queries"]] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, Float[np.ndarray, " queries"]]:
        """Values by the name of their column."""
        return {
            "first_rank": self.first_ranks,
            **{f"AP@{cut}": values for cut, values in self.average_precisions.items()},
            **{f"R@{cut}": values for cut, values in self.recalls.items()},
            **self.others,
        }


def queries_csv(tables: Iterable[QueryTable]) -> str:
    """All queries as CSV: ``query,direction,first_rank,AP@10,...,R@1,...,image``; empty where a value does not apply.

    Metrics that are neither AP of the category task nor R@K of the instance task are named with their task.

    Numbers are written with 9 significant digits: ranks under ties are fractions.
    """
    tables = tuple(tables)
    names = sorted(dict.fromkeys(name for table in tables for name in table.columns), key=_column_order)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "direction", *names, "image"])
    for table in tables:
        absent = np.full(len(table.ids), np.nan)
        columns = [table.columns.get(name, absent) for name in names]
        images = table.images or ("",) * len(table.ids)
        for query, image, *values in zip(table.ids, images, *columns, strict=True):
            cells = ("" if np.isnan(value) else f"{value:.9g}" for value in values)
            writer.writerow([query, table.direction, *cells, image])
    return text.getvalue()


def read_queries(path: Path, digest: str | None = None) -> dict[str, QueryTable]:
    """Reads ``per_query.csv.gz``.

    Args:
        path: The file.
        digest: Its SHA-256 by the results of the run; None: not known, as of version 0.1.

    Returns:
        The table of each direction. Without recalls and images where an older release wrote it.

    Raises:
        DataError: The file is missing, damaged or changed, or holds a value that no query can have.
    """
    check_file(path, digest, "copy it again or repeat the run")
    with readable(path, "repeat the run"):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {way: _table(way, found) for way in DIRECTIONS if (found := [r for r in rows if r["direction"] == way])}


def _table(direction: str, rows: Sequence[Mapping[str, str]]) -> QueryTable:
    values = {
        name: np.array([float(row[name] or "nan") for row in rows])
        for name in rows[0]
        if name not in ("query", "direction", "image")
    }
    cuts = {kind: [name for name in values if name.startswith(f"{kind}@")] for kind in ("AP", "R")}
    _check_ranges(values, cuts["AP"] + cuts["R"])
    return QueryTable(
        direction,
        tuple(row["query"] for row in rows),
        values["first_rank"],
        {name.partition("@")[2]: values[name] for name in cuts["AP"]},
        tuple(row["image"] for row in rows) if rows[0].get("image") else (),
        {name.partition("@")[2]: values[name] for name in cuts["R"]},
        {name: values[name] for name in values if "/" in name},
    )


def _check_ranges(values: Mapping[str, np.ndarray], fractions: Sequence[str]) -> None:
    """Refuses infinite values, ranks below 1 and fractions outside 0 to 1; a gap is NaN.

    Raises:
        ValueError: The column is named.
    """
    for name, column in values.items():
        found = column[~np.isnan(column)]
        low, high = (0.0, 1.0) if name in fractions else (1.0 if name == "first_rank" else -np.inf, np.inf)
        if (np.isinf(found) | (found < low - 1e-8) | (found > high + 1e-8)).any():
            raise ValueError(f"{name} holds a value outside {low:g} to {high:g}")


def _column_order(name: str) -> tuple[int, float]:
    """Ranks first, then AP, then R, each by its cut with the whole ranking last; then all others as they come."""
    kind, _, cut = name.partition("@")
    if "/" in name:
        return 3, 0.0
    return ("first_rank", "AP", "R").index(kind), float(cut.replace("N", "inf") or 0)
