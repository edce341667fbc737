"""Quality and cost of search while real distractors join the gallery: other splits, other data sets."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fico.bench.growth.gallery import Gallery
from fico.bench.timing import timed
from fico.codes import HashCodes
from fico.embeddings.store import EmbeddingStore
from fico.errors import UsageError
from fico.metrics.rank import median_rank
from fico.metrics.recall import any_found
from fico.search.base import Searcher
from fico.similarity import SIMILARITIES, Side, Similarity
from fico.util.progress import track

RECALL_AT = (1, 5, 10, 50, 100)
BLOCK = 512  # queries scored at once
PIECE = 16_384  # items scored at once
SEARCHED = 1000  # queries that are timed
TOP = 10  # items found for each of them


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """One gallery in one direction.

    Args:
        direction: ``i2t``: images ask, captions are found; ``t2i``.
        queries: Of the test set, the same for every gallery.
        items: Of the gallery.
        distractors: Items that no query is about.
        recall: R@K as fractions, by K; equal scores in expected order.
        median_rank: Of the first right item, from 1.
        search_seconds: Finding the first ten items of a thousand queries, scaled where there are fewer.
        index_bytes: Size of the gallery in the searcher.
        searcher: Its name.
    """

    direction: str
    queries: int
    items: int
    distractors: int
    recall: dict[int, float]
    median_rank: float
    search_seconds: float
    index_bytes: int
    searcher: str

    def as_json(self) -> dict[str, Any]:
        """The row as JSON takes it."""
        return asdict(self)


def growth(
    store: EmbeddingStore,
    distractors: Sequence[EmbeddingStore],
    *,
    similarity: Similarity,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
    searcher: Callable[[], Searcher] | None = None,
    progress: bool = True,
) -> list[GrowthRow]:
    """Recall and cost of galleries that hold the test set and more and more distractors.

    The distractors' images come in an order that the seed decides, each with all its captions, so every gallery holds
    the smaller ones, and R@K never rises. A distractor is right for no query.

    Args:
        store: Embeddings of the test set, which asks.
        distractors: Embeddings by the same model of images that are not in the test set.
        similarity: Of the model.
        sizes: Images of each gallery, those of the test set counted; default: the test set alone, doubled again and
            again, and everything.
        seed: Of the order.
        searcher: Maker of what is timed; default exact search, of codes by popcount.
        progress: Show a bar.

    Raises:
        UsageError: A size is below the test set or above everything, or the similarity is unknown.
        DataError: The stores are not of one model, or an image is in two of them.
    """
    if similarity not in SIMILARITIES:
        raise UsageError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {similarity!r}")
    gallery = Gallery.join(store, distractors, seed)
    steps = gallery.sizes(sizes)
    rows = []
    for direction in ("i2t", "t2i"):
        ends = [gallery.ends(direction, size) for size in steps]
        counts = _counts(store, gallery, direction, similarity, ends, progress)
        for end, (above, wrong, right) in zip(ends, counts, strict=True):
            rows.append(_row(direction, store, gallery, end, (above, wrong, right), similarity, searcher))
    return rows


def _counts(
    store: EmbeddingStore,
    gallery: Gallery,
    direction: str,
    similarity: Similarity,
    ends: Sequence[int],
    progress: bool,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Items above the best right one, and wrong and right items that tie with it, for each gallery and query."""
    asking = store.images if direction == "i2t" else store.texts
    own = len(store.texts) if direction == "i2t" else len(store.images)
    owners = store.correspondence.caption_to_image
    score = _Scorer(asking, gallery.items(direction), similarity, store.bits)
    answered = np.unique(owners) if direction == "i2t" else np.arange(len(asking))
    starts = range(0, len(answered), BLOCK)
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in ends]
    for start in track(starts, len(starts), f"Growing the gallery, {direction}", is_shown=progress):
        queries = answered[start : start + BLOCK]
        first = score(queries, 0, own)
        right = (
            owners[None, :] == queries[:, None] if direction == "i2t" else owners[queries][:, None] == np.arange(own)
        )
        best = np.where(right, first, -np.inf).max(axis=1, keepdims=True)
        above, tied = (first > best).sum(axis=1), first == best
        hits, wrong = (tied & right).sum(axis=1), (tied & ~right).sum(axis=1)
        place = own
        for number, end in enumerate(ends):
            for piece in range(place, end, PIECE):
                more = score(queries, piece, min(piece + PIECE, end))
                above, wrong = above + (more > best).sum(axis=1), wrong + (more == best).sum(axis=1)
            place = end
            found[number].append((above, wrong, hits))
    return [tuple(torch.from_numpy(np.concatenate(part)) for part in zip(*blocks, strict=True)) for blocks in found]  # type: ignore[misc]


class _Scorer:
    """Scores of some queries with a range of items, as the evaluation computes them."""

    def __init__(self, queries: np.ndarray, items: np.ndarray, similarity: Similarity, bits: int | None) -> None:
        if similarity == "hamming":
            similarity = "inner"  # of +1 and -1 it orders as the distance does, and is a whole number
            queries, items = (
                HashCodes.from_packed(rows, bits).to_signs() if bits is not None else rows.astype(np.float32)
                for rows in (queries, items)
            )
        self._items = Side("embeddings", items, similarity, 0)
        self._queries = queries.astype(self._items.dtype, copy=False)

    def __call__(self, queries: np.ndarray, start: int, stop: int) -> np.ndarray:
        scores: np.ndarray = self._queries[queries] @ self._items.rows(start, stop).T * self._items.scale[start:stop]
        return scores if self._items.shift is None else scores - self._items.shift[start:stop]


def _row(
    direction: str,
    store: EmbeddingStore,
    gallery: Gallery,
    end: int,
    counts: tuple[Tensor, Tensor, Tensor],
    similarity: Similarity,
    searcher: Callable[[], Searcher] | None,
) -> GrowthRow:
    above, wrong, right = counts
    index = (searcher or _default(store, similarity))()
    items = gallery.items(direction)
    index.add(items[:end])
    asking = (store.images if direction == "i2t" else store.texts)[:SEARCHED]
    _, timing = timed(lambda: index.search(asking, min(TOP, end)), repeats=3)
    ranks = 1 + above + wrong.double() / (right + 1)
    own = len(store.texts) if direction == "i2t" else len(store.images)
    return GrowthRow(
        direction,
        queries=len(above),
        items=end,
        distractors=end - own,
        recall={k: float(any_found(above, wrong, right, k).mean()) for k in RECALL_AT},
        median_rank=float(median_rank(ranks)),
        search_seconds=timing.seconds * SEARCHED / len(asking),
        index_bytes=index.size_bytes,
        searcher=index.name,
    )


def _default(store: EmbeddingStore, similarity: Similarity) -> Callable[[], Searcher]:
    from fico.search.exact import ExactSearch
    from fico.search.hamming.popcount import PopcountSearch

    if store.bits is not None and store.bits % 8 == 0:
        return lambda: PopcountSearch(store.bits)
    return lambda: ExactSearch(similarity, bits=store.bits)
