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
        direction: ``i2t`` (image queries over captions) or ``t2i``.
        queries: Of the test set, the same for every gallery.
        items: Of the gallery.
        distractors: Items that are relevant to no query.
        recall: R@K as fractions, by K; equal scores in expected order.
        median_rank: Of the first relevant item, from 1.
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
    the smaller ones, and R@K never rises. A distractor is relevant to no query.

    Args:
        store: Embeddings of the test set, whose rows are the queries.
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
        for end, (above, non_relevant, relevant) in zip(ends, counts, strict=True):
            rows.append(_row(direction, store, gallery, end, (above, non_relevant, relevant), similarity, searcher))
    return rows


def _counts(
    store: EmbeddingStore,
    gallery: Gallery,
    direction: str,
    similarity: Similarity,
    ends: Sequence[int],
    progress: bool,
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Items above the best relevant one, and the items tied with it, for each gallery and query."""
    query_rows = store.images if direction == "i2t" else store.texts
    test_items = len(store.texts) if direction == "i2t" else len(store.images)
    owners = store.correspondence.caption_to_image
    score = _Scorer(query_rows, gallery.items(direction), similarity, store.bits)
    answered = np.unique(owners) if direction == "i2t" else np.arange(len(query_rows))
    starts = range(0, len(answered), BLOCK)
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in ends]
    for start in track(starts, len(starts), f"Growing the gallery, {direction}", is_shown=progress):
        queries = answered[start : start + BLOCK]
        first = score(queries, 0, test_items)
        query_images = queries if direction == "i2t" else owners[queries]
        relevant = query_images[:, None] == (owners if direction == "i2t" else np.arange(test_items))
        best = np.where(relevant, first, -np.inf).max(axis=1, keepdims=True)
        above, tied = (first > best).sum(axis=1), first == best
        hits, non_relevant = (tied & relevant).sum(axis=1), (tied & ~relevant).sum(axis=1)
        start_of_rest = test_items
        for number, end in enumerate(ends):
            for piece in range(start_of_rest, end, PIECE):
                more = score(queries, piece, min(piece + PIECE, end))
                above, non_relevant = above + (more > best).sum(axis=1), non_relevant + (more == best).sum(axis=1)
            start_of_rest = end
            found[number].append((above, non_relevant, hits))
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
        items, scale, shift = self._items.rows(start, stop).numpy(), self._items.scale.numpy(), self._items.shift
        scores: np.ndarray = self._queries[queries] @ items.T * scale[start:stop]
        return scores if shift is None else scores - shift[start:stop].numpy()


def _row(
    direction: str,
    store: EmbeddingStore,
    gallery: Gallery,
    end: int,
    counts: tuple[Tensor, Tensor, Tensor],
    similarity: Similarity,
    searcher: Callable[[], Searcher] | None,
) -> GrowthRow:
    above, non_relevant, relevant = counts
    index = (searcher or _default(store, similarity))()
    items = gallery.items(direction)
    index.add(items[:end])
    query_rows = (store.images if direction == "i2t" else store.texts)[:SEARCHED]
    _, timing = timed(lambda: index.search(query_rows, min(TOP, end)), repeats=3)
    ranks = 1 + above + non_relevant.double() / (relevant + 1)
    test_items = len(store.texts) if direction == "i2t" else len(store.images)
    return GrowthRow(
        direction,
        queries=len(above),
        items=end,
        distractors=end - test_items,
        recall={k: float(any_found(above, non_relevant, relevant, k).mean()) for k in RECALL_AT},
        median_rank=float(median_rank(ranks)),
        search_seconds=timing.seconds * SEARCHED / len(query_rows),
        index_bytes=index.size_bytes,
        searcher=index.name,
    )


def _default(store: EmbeddingStore, similarity: Similarity) -> Callable[[], Searcher]:
    from fico.search.exact import ExactSearch
    from fico.search.hamming.popcount import PopcountSearch

    if store.bits is not None and store.bits % 8 == 0:
        return lambda: PopcountSearch(store.bits)
    return lambda: ExactSearch(similarity, bits=store.bits)
