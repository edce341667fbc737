"""Indexes compared on embeddings: recall relative to exact search, time and bytes."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fico.bench.recall import recalls
from fico.bench.timing import once, timed
from fico.codes import HashCodes
from fico.errors import UsageError
from fico.metrics.specification import Direction
from fico.search.base import Searcher, import_faiss, to_floats
from fico.search.brute_force import as_operand, scores
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.itq import ITQ
from fico.similarity import Similarity
from fico.types import Ranking
from fico.util.arrays import Embeddings, to_array
from fico.util.progress import ProgressBar

log = logging.getLogger(__name__)
_Variant = tuple[str, Ranking, dict[str, Any]]  # name, ranking and row of an index
TaskMetric = Callable[[Direction, Ranking], Mapping[str, float]]

_EXACT_BYTES = 2**28  # for the exact scores of the sampled queries with every item
_ROWS = 65_536
_ROUNDING = 1e-6  # of float32 products, relative to the largest
_LEARNERS = (FaissSearch, PopcountSearch, HybridSearch)


def compare_indexes(
    images: Embeddings,
    texts: Embeddings,
    makers: Mapping[str, Callable[..., Searcher]],
    *,
    similarity: Similarity = "cosine",
    bits: int | None = None,
    ks: Sequence[int] = (1, 10, 100),
    repeats: int = 5,
    budget_seconds: float = 1.0,
    recall_queries: int = 1000,
    judge: TaskMetric | None = None,
    both_sides: bool = False,
    database: tuple[Embeddings, Embeddings] | None = None,
) -> list[dict[str, Any]]:
    """Builds every index on each side and searches it with the other.

    Args:
        images: ``images dim`` floats, +-1 or 0/1 codes, or packed codes where ``bits`` is given.
        texts: ``texts dim``, of the same kind.
        makers: By name a call that makes the empty index; it takes ``itq=`` where it makes one of hash codes.
        similarity: Measure of exact search, which recall refers to.
        bits: Code length of hash codes.
        ks: Cut-offs to report; those above the number of items are replaced by that number.
        repeats: Most timed searches; a first one is not counted.
        budget_seconds: No further repeat begins after so long.
        recall_queries: Queries, evenly spaced, that recall is measured on; all are searched and timed.
        judge: Computes metrics of the retrieval task from the ranking of all queries of a direction.
        both_sides: Of floats that an index makes into codes, measure it twice: with codes learnt from the items
            alone, as it does by default, and from items and queries, whose distributions differ between modalities. The
            second row's ``index`` ends in ``/both``; its codes were fitted on the queries too, though on no pairs.
        database: Images and texts that are searched, in place of the other side.

    Returns:
        One row per direction and index: ``index``, ``direction``, ``queries``, ``items``, ``k`` (searched),
        ``build_seconds``, ``build_cpu_seconds``, ``search_seconds`` (all queries, median),
        ``search_cpu_seconds``, ``search_spread_seconds``, ``repeats``, ``threads``, ``index_bytes``,
        ``recall_queries``, ``settings`` (the index's own name), ``top1_in_k`` and ``overlap_at_k`` by k, fractions;
        ``task``, from ``judge``; ``fit_on``, ``items`` or ``both``, where codes were learnt. An index that cannot hold
        these embeddings has no row, and a warning in the log says why.

    Raises:
        DataError: Embeddings that are empty, hold NaN, or differ in width.
    """
    sides: dict[Direction, tuple[Embeddings, Embeddings]] = {
        "i2t": (images, database[1] if database else texts),
        "t2i": (texts, database[0] if database else images),
    }
    rows: list[dict[str, Any]] = []
    total = len(sides) * len(makers)
    with ProgressBar(total, "comparing indexes", is_shown=not sys.stderr.isatty()) as bar:  # a terminal has one already
        for direction, (queries, items) in sides.items():
            declared = [
                _declared(side, similarity, bits, what) for side, what in ((queries, "queries"), (items, "items"))
            ]
            gallery = _SearchedGallery(declared[0], declared[1], similarity, ks, recall_queries)
            for name, make in makers.items():
                compare = partial(gallery.compare, name, make, repeats, budget_seconds)
                for label, found, row in _compared(compare, name, direction, both_sides=both_sides and bits is None):
                    task = {"task": dict(judge(direction, found))} if judge else {}
                    rows.append({"index": label, "direction": direction} | row | task)
                bar.advance()
    return rows


def _compared(
    compare: Callable[..., list[_Variant]], name: str, direction: Direction, *, both_sides: bool
) -> list[_Variant]:
    """What an index reached; nothing of one that refuses, in any way: the others are compared all the same."""
    try:
        return compare(both_sides=both_sides)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("index %s is left out of %s: %s", name, direction, reason)
        log.debug("index %s", name, exc_info=error)
        return []


def check_indexes(makers: Mapping[str, Callable[..., Searcher]], bits: int | None = None) -> None:
    """Refuses what ``compare_indexes`` would refuse at its end: cheap, for a run to do before it trains.

    Args:
        makers: As for ``compare_indexes``.
        bits: Code length of hash codes, None for floats.

    Raises:
        UsageError: An index refuses its settings, or is one for codes of another length.
    """
    for name, make in makers.items():
        searcher = make()
        length = getattr(searcher, "bits", None)
        if bits is not None and length not in (None, bits) and not isinstance(searcher, HybridSearch):
            raise UsageError(
                f"the index {name} has bits={length}, but the model's codes have {bits} bits; "
                f"leave index.{name}.bits null"
            )


class _SearchedGallery:
    """One gallery with its queries, and the exact scores of a sample of them."""

    def __init__(
        self,
        queries: np.ndarray | HashCodes,
        items: np.ndarray | HashCodes,
        similarity: Similarity,
        ks: Sequence[int],
        sample: int,
    ) -> None:
        self._queries, self._items = queries, items
        self._ks = sorted({min(k, len(items)) for k in ks})
        sample = min(sample, len(queries), max(100, _EXACT_BYTES // (4 * len(items))))
        self._rows = np.unique(np.linspace(0, len(queries) - 1, sample).astype(np.int64))
        self._scores = _exact_scores(queries[self._rows], items, similarity)
        self._best = -np.sort(-torch.from_numpy(self._scores).topk(self._ks[-1]).values.numpy(), axis=1)
        self._slack = 0.0 if similarity == "hamming" else _ROUNDING * float(np.abs(self._best).max())

    def compare(
        self, name: str, make: Callable[..., Searcher], repeats: int, budget_seconds: float, *, both_sides: bool
    ) -> list[_Variant]:
        """Name, ranking and row of an index, and of its variant with codes learnt from both sides."""
        searcher = self.empty(make)
        found, row = self.run(searcher, repeats, budget_seconds)
        variants = [(name, found, row)]
        if both_sides and self.is_learnt(searcher):
            row["fit_on"] = "items"
            other, learning = once(partial(self.learnt_on_both, make, searcher))
            found, row = self.run(other, repeats, budget_seconds)
            row["build_seconds"] += learning.seconds
            row["build_cpu_seconds"] += learning.cpu_seconds
            variants.append((f"{name}/both", found, row | {"fit_on": "both"}))
        return variants

    def empty(self, make: Callable[..., Searcher]) -> Searcher:
        """The empty index; floats as wide as its codes are long are declared to be floats."""
        searcher = make()
        if not isinstance(searcher, FaissSearch | PopcountSearch) or isinstance(self._items, HashCodes):
            return searcher
        bits = searcher.bits
        return make(itq=ITQ(bits)) if bits is not None and bits == self._items.shape[1] else searcher

    def is_learnt(self, searcher: Searcher) -> bool:
        """Whether an index made its codes from floats."""
        makes_codes = getattr(searcher, "bits", None) is not None
        return makes_codes and isinstance(searcher, _LEARNERS) and not isinstance(self._items, HashCodes)

    def learnt_on_both(self, make: Callable[..., Searcher], like: Searcher) -> Searcher:
        """An index like another one, with codes learnt from items and queries."""
        assert isinstance(self._items, np.ndarray)
        assert isinstance(self._queries, np.ndarray)
        if isinstance(like, HybridSearch):
            searcher = make()
            assert isinstance(searcher, HybridSearch)
            searcher.lists = like.lists
            return searcher.fit(np.concatenate([self._items, self._queries]), len(self._items))
        assert isinstance(like, FaissSearch | PopcountSearch)
        assert like.bits is not None
        return make(itq=ITQ(like.bits).fit(self._items, self._queries))

    def run(self, searcher: Searcher, repeats: int, budget_seconds: float) -> tuple[Ranking, dict[str, Any]]:
        """Times the index and measures its recall."""
        k = self._ks[-1]
        _, build = once(lambda: searcher.add(self._items))
        found, search = timed(lambda: searcher.search(self._queries, k), repeats=repeats, budget_seconds=budget_seconds)
        items = found.indices[self._rows]
        got = np.where(items < 0, -np.inf, np.take_along_axis(self._scores, np.maximum(items, 0), axis=1))
        top1, overlap = recalls(got, self._best, self._ks, self._slack)
        return found, {
            "settings": searcher.name,
            "queries": len(self._queries),
            "items": len(self._items),
            "k": k,
            "build_seconds": build.seconds,
            "build_cpu_seconds": build.cpu_seconds,
            "search_seconds": search.seconds,
            "search_cpu_seconds": search.cpu_seconds,
            "search_spread_seconds": search.spread_seconds,
            "repeats": search.repeats,
            "threads": _threads(searcher),
            "index_bytes": searcher.size_bytes,
            "recall_queries": len(self._rows),
            "top1_in_k": top1,
            "overlap_at_k": overlap,
        }


def _exact_scores(queries: np.ndarray | HashCodes, items: np.ndarray | HashCodes, similarity: Similarity) -> np.ndarray:
    left = _exact_rows(queries, similarity, "queries")
    blocks = (_exact_rows(items[at : at + _ROWS], similarity, "items") for at in range(0, len(items), _ROWS))
    return np.concatenate([scores(left, right, similarity).numpy() for right in blocks], axis=1)


def _exact_rows(rows: np.ndarray | HashCodes, similarity: Similarity, what: str) -> Tensor:
    return as_operand(rows if isinstance(rows, HashCodes) else to_floats(rows, what), similarity)


def _threads(searcher: Searcher) -> int:
    threads = getattr(searcher, "threads", None)
    return int(threads) if threads else int(import_faiss().omp_get_max_threads())


def _declared(values: Embeddings, similarity: Similarity, bits: int | None, what: str) -> np.ndarray | HashCodes:
    """Codes as such, which every searcher takes; floats as they are."""
    is_code = bits is not None or similarity == "hamming"
    return HashCodes.of(values, bits, what) if is_code else to_array(values, what)
