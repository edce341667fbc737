"""The searcher protocol, and the checks that every searcher makes on its input."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fico.codes import HashCodes
from fico.errors import DataError, UsageError
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.optional import requires_extra

Ids = Iterable[int] | Iterable[str] | np.ndarray  # of items: whole numbers from 0, or str
_ROWS = 65_536  # rows checked in one go, so that a mapped file is never read as a whole
LENGTHS = (1e-12, 1e18)  # of rows: beyond them squares and products leave float32, and normalised rows are no longer 1
SHORT_ITEMS = 1e-20  # length that does for items of plain products, with queries of the lengths above


class Searcher(Protocol):
    """Finds the nearest items of each query.

    ``add`` may be called several times, after searches too; items have the ids that come with them, or are numbered
    from 0 in the order in which they came. Where the parameters of an index are trained (partitions, codes), they are
    trained on the first ``add``. Several threads may search at a time; a change waits for them.
    """

    @property
    def name(self) -> str:
        """Name with every parameter that changes the result."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes that the index holds, without the interpreter's overhead."""
        ...

    def add(self, items: Embeddings | HashCodes) -> None:
        """Adds ``n x d`` floats, or codes: ``HashCodes``, or in any form where ``bits`` or the metric declares them.

        The array is the caller's again afterwards: a searcher copies what it keeps.
        """
        ...

    def search(self, queries: Embeddings | HashCodes, k: int) -> Ranking:
        """Returns the k nearest items of each query, best first."""
        ...


class UpdatableSearcher(Searcher, Protocol):
    """A searcher whose items have ids, can be removed and chosen from."""

    def add(self, items: Embeddings | HashCodes, *, ids: Ids | None = None) -> None:
        """Adds items; without ``ids`` they are numbered from 0, and no number is used again."""
        ...

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable; their memory is free once the index is built again."""
        ...

    def search(self, queries: Embeddings | HashCodes, k: int, *, allowed: Ids | None = None) -> Ranking:
        """Returns the k nearest items of each query, best first, of those allowed."""
        ...

    def save(self, path: str | Path) -> None:
        """Writes the index."""
        ...


def to_floats(values: Embeddings, what: str, dim: int | None = None, shortest: float = LENGTHS[0]) -> np.ndarray:
    """Checked ``float32`` matrix; a matrix that is one already is not copied.

    Args:
        values: Embeddings, one row each.
        what: ``"items"`` or ``"queries"``, for the message.
        dim: Width of the rows that were added before, if any.
        shortest: Smallest length of a row that is not zero.

    Raises:
        DataError: Another width, or a row (it is named) with NaN, infinity or a length that float32 cannot compare.
    """
    given = array = to_array(values, what)
    if dim is not None and array.shape[1] != dim:
        raise DataError(f"the {what} have {array.shape[1]} dimensions, but the index holds items of {dim}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    for start in range(0, len(array), _ROWS):
        rows = slice(start, start + _ROWS)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", array[rows], array[rows])
        unusual = np.flatnonzero(~((squares > shortest**2) & (squares < LENGTHS[1] ** 2)))
        unusual = unusual[given[rows][unusual].any(axis=1)]  # zero vectors may be compared
        if len(unusual):
            raise unusual_row(given[start + unusual[0]], start + int(unusual[0]), what, shortest)
    return array


def unusual_row(row: np.ndarray, number: int, what: str, shortest: float) -> DataError:
    """The error for a row that holds NaN or infinity, or is shorter or longer than products in float32 allow."""
    row = row.astype(np.float64)
    if not np.isfinite(row).all():
        return DataError(f"row {number} of the {what} holds NaN or infinity; drop it or fix the encoder")
    peak = np.abs(row).max()
    return DataError(
        f"row {number} of the {what} has length {peak * np.linalg.norm(row / peak):.1e}, but products in float32 need "
        f"{shortest:g} to {LENGTHS[1]:g}; divide all rows by one number"
    )


def check_k(k: int, items: int, what: str = "items") -> int:
    """Refuses a k that the index cannot fill.

    Args:
        k: Items of each query.
        items: That can be found.
        what: How they are called in the message.

    Returns:
        k as Python's own integer, the only one that FAISS takes.

    Raises:
        UsageError: Nothing was added yet, or k is not a whole number, below 1 or above the number of items.
    """
    if items == 0:
        raise UsageError("the index is empty; call add(items) before search")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= items:
        raise UsageError(f"k is {k}, but the index holds {items} {what}; give a whole number from 1 to {items}")
    return int(k)


def merge(rankings: Sequence[Ranking], k: int) -> Ranking:
    """Merges the results of shards into what one index over all items would give.

    Args:
        rankings: One per shard, of the same queries, items already numbered as in the whole; a shard with fewer
            than k items gives all it has.
        k: Length of the result, at most the sum of the lengths given.

    Returns:
        The k best by score, ties by lowest item: any of them is among the k best of its shard.
    """
    scores = np.concatenate([ranking.scores for ranking in rankings], axis=1)
    items = np.concatenate([ranking.indices for ranking in rankings], axis=1)
    order = np.lexsort((items, -scores), axis=1)[:, :k]
    return Ranking(np.take_along_axis(scores, order, 1), np.take_along_axis(items, order, 1))


def import_faiss() -> Any:
    """FAISS, imported where it is used.

    Raises:
        MissingExtra: It is not installed; the extras are named.
    """
    with requires_extra("cpu", "gpu"):
        import faiss
    return faiss


@contextmanager
def faiss_threads(threads: int | None) -> Iterator[int]:
    """Lets FAISS use that many threads within the block; its setting is global, so it is put back.

    Args:
        threads: 1 or more; None leaves the setting.

    Yields:
        The number in force.
    """
    faiss = import_faiss()
    before = int(faiss.omp_get_max_threads())
    faiss.omp_set_num_threads(threads or before)
    try:
        yield threads or before
    finally:
        faiss.omp_set_num_threads(before)
