"""Random cases: an index, its items with their ids, removals, filters and searches in turn, and what is right."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fico.bench.answers.indexes import INDEXES
from fico.search.base import UpdatableSearcher
from fico.search.sharded.saved import load_index
from fico.types import Ranking

_DTYPES = ("float16", "float32", "float64", "int8", "int64")
_TOLERANCE = 2e-5  # of scores in float32, relative to the largest of the case
_LARGEST = 40  # rows of one ``add``


class Case:
    """One index with what was added to it and not removed, in order.

    Args:
        seed: Everything follows from it.
        index: Which of ``INDEXES``.
    """

    def __init__(self, seed: int, index: str) -> None:
        self.seed, self.index, self._kind = seed, index, INDEXES[index]
        self._draw = np.random.default_rng(seed)
        self.metric = str(self._draw.choice(list(self._kind.metrics)))
        self._dtype, self._is_whole = self._number_form()
        self._pool = self._numbers(int(self._draw.integers(1, 60)), self._columns())
        self._ids = str(self._draw.choice(["none", "int", "str"]))
        self._given = 0
        self._held: dict[Any, np.ndarray] = {}  # row of each id
        columns = self._pool.shape[1]
        self.log = [f"{index}, {self.metric}, {columns} columns, {self._dtype}, {len(self._pool)} different rows"]

    def differences(self) -> list[str]:
        """Plays the case.

        Returns:
            What differs from brute force, with what led to it; nothing where all is right.
        """
        threads, found = int(self._draw.integers(1, 4)), list[str]()
        searcher = self._kind.make(self.metric, self._pool.shape[1], threads)
        self._add(searcher, self._kind.least)
        for step in self._draw.choice(["search", "search", "add", "remove", "reload"], size=7):
            if step == "add":
                self._add(searcher, 1)
            elif step == "remove":
                self._remove(searcher)
            elif step == "reload":
                searcher = _reloaded(searcher)
                self.log.append("reloaded")
            else:
                found += self._search(searcher)
        return [f"seed {self.seed}: {', '.join(self.log)}: {text}" for text in found]

    def _columns(self) -> int:
        if self.metric == "hamming":
            return 8 * int(self._draw.integers(1, 20)) if self._draw.random() < 0.9 else 520
        return int(self._draw.integers(self._kind.least, 71))

    def _number_form(self) -> tuple[str, bool]:
        """Type of the numbers, and whether they are whole, so that products and ties are exact."""
        dtype = str(self._draw.choice(_DTYPES))
        is_fraction = dtype in ("float32", "float64") and not self._kind.is_half and self._draw.random() < 0.5
        return dtype, not is_fraction

    def _numbers(self, rows: int, columns: int) -> np.ndarray:
        if self.metric == "hamming":
            return np.asarray(self._draw.choice([-1, 1], size=(rows, columns)).astype(self._dtype))
        if self._is_whole:
            return np.asarray(self._draw.integers(-3, 4, size=(rows, columns)).astype(self._dtype))
        return np.asarray(self._draw.normal(size=(rows, columns)).astype(self._dtype))

    def _add(self, searcher: UpdatableSearcher, least: int) -> None:
        count = int(self._draw.integers(least, least + _LARGEST))
        rows = self._pool[self._draw.integers(0, len(self._pool), count)]
        numbers = range(self._given, self._given + count)
        names: list[Any] = [*numbers]
        if self._ids != "none":  # falling, so that the order of ids is not that of rows
            names = [f"ä{number}" if self._ids == "str" else 10**9 - 7 * number for number in numbers]
        searcher.add(rows, ids=None if self._ids == "none" else names)
        self._given += count
        self._held |= dict(zip(names, rows, strict=True))
        self.log.append(f"added {count} with ids {self._ids}")

    def _chosen(self) -> list[Any]:
        """Some of the ids that are held."""
        names = list(self._held)
        order = self._draw.permutation(len(names))
        return [names[at] for at in order[: int(self._draw.integers(1, len(names) + 1))]]

    def _remove(self, searcher: UpdatableSearcher) -> None:
        gone = self._chosen()[: len(self._held) - 1]
        searcher.remove(gone)
        for name in gone:
            del self._held[name]
        self.log.append(f"removed {len(gone)}")

    def _search(self, searcher: UpdatableSearcher) -> Iterator[str]:
        allowed = self._chosen() if self._draw.random() < 0.5 else None
        names = [name for name in self._held if allowed is None or name in allowed]
        k = int(self._draw.integers(1, len(names) + 1))
        queries = self._numbers(int(self._draw.integers(1, 12)), self._pool.shape[1])
        self.log.append(f"{len(queries)} searches, k {k} of {len(names)}{'' if allowed is None else ' allowed'}")
        found = searcher.search(queries, k, allowed=allowed)
        scores = plain_scores(queries, np.stack([self._held[name] for name in names]), self.metric)
        is_exact = self._is_whole and self.metric != "cosine"
        yield from compared(found, scores, names, k, self.metric, self._kind.orders_ties and is_exact)


def _reloaded(searcher: UpdatableSearcher) -> UpdatableSearcher:
    with tempfile.TemporaryDirectory() as folder:
        searcher.save(Path(folder) / "index")
        return load_index(Path(folder) / "index")


def plain_scores(queries: np.ndarray, items: np.ndarray, metric: str) -> np.ndarray:
    """Scores of every pair in double precision, ``queries items``, higher is nearer."""
    left, right = queries.astype(np.float64), items.astype(np.float64)
    if metric == "hamming":
        return np.asarray(-(left[:, None] != right[None]).sum(axis=2).astype(np.float64))
    if metric == "euclidean":
        return np.asarray(-np.linalg.norm(left[:, None] - right[None], axis=2))
    if metric == "cosine":
        left, right = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (left, right))
    return np.asarray(left @ right.T)


def compared(
    found: Ranking, scores: np.ndarray, names: list[Any], k: int, metric: str, orders_ties: bool
) -> Iterator[str]:
    """How a ranking differs from the sorted scores.

    Args:
        found: The ranking.
        scores: ``queries names``: of every item that may be found.
        names: Their ids, in order of row.
        k: Items of each query.
        metric: Of the scores.
        orders_ties: Equal scores must come by lowest row.
    """
    if found.indices.shape != (len(scores), k) or found.scores.shape != found.indices.shape:
        yield f"shape {found.indices.shape}, {(len(scores), k)} was wanted"
        return
    column_of = {name: column for column, name in enumerate(names)}
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best, slack = np.take_along_axis(scores, order, 1), _TOLERANCE * (1 + np.abs(scores).max() ** 2)
    for query, ids in enumerate(found.indices.tolist()):
        columns = [column_of.get(name, -1) for name in ids]
        given = found.scores[query].astype(np.float64)
        if -1 in columns or len(set(columns)) < k:
            yield f"query {query} found {ids}, of which some are not held, not allowed or there twice"
        elif not _near(given, scores[query, columns], metric, slack) or not _near(given, best[query], metric, slack):
            yield f"query {query} has scores {given}, the best are {best[query]}"
        elif orders_ties and columns != order[query].tolist():
            yield f"query {query} found {ids}, by lowest row it is {[names[column] for column in order[query]]}"


def _near(given: np.ndarray, wanted: np.ndarray, metric: str, slack: float) -> bool:
    if metric == "euclidean":  # the root of a small difference of squares is large
        given, wanted = given**2, wanted**2
    return bool((np.abs(given - wanted) <= slack).all())
