"""Sample queries of a report: the query, the items found, and which of them are relevant."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from torch import Tensor

from fico.datasets.base import RetrievalSplit
from fico.metrics.specification import Direction
from fico.report.results.per_query import DIRECTIONS
from fico.scoring.candidates import FILL
from fico.search.exact import ExactSearch
from fico.similarity import Similarity
from fico.types import Ranking

Rows = np.ndarray | Tensor
Rank = Callable[[Direction, Int64[np.ndarray, " queries"]], Ranking]
POOL = 128  # queries that the samples are picked from: enough to hold hits and misses, and quick to rank


@dataclass(frozen=True, slots=True)
class Item:
    """A caption (``text``) or an image; where its file is gone, the page shows its id."""

    item_id: str
    text: str | None = None
    image: Path | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One item that was found.

    Args:
        item: The item.
        score: Similarity to the query; higher is nearer.
        is_match: It forms a matching pair with the query.
        shared_labels: Names of the labels that it shares with the query; None without labels.
    """

    item: Item
    score: float
    is_match: bool
    shared_labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class QuerySample:
    """A query with the first items of its ranking.

    Args:
        direction: ``"i2t"`` (an image query over captions) or ``"t2i"``.
        query: The image or the caption.
        hits: The first items found.
        first_match_rank: Rank of the first match, from 1, in the order of the search; None without one.
        items: Size of the gallery.
        candidates: Items that a re-ranking scored, behind which there is no order; None where all are ranked.
        missed: The match of the best rank where none is among the hits; None where one is.
    """

    direction: Direction
    query: Item
    hits: tuple[Hit, ...]
    first_match_rank: int | None
    items: int
    candidates: int | None = None
    missed: Item | None = None


def exact_rank(
    images: Rows, texts: Rows, similarity: Similarity, bits: int | None = None, *, depth: int | None = None
) -> Rank:
    """Ranks by exact search over embeddings or codes.

    Args:
        images: One row per image.
        texts: One row per caption.
        similarity: Measure of the model.
        bits: Code length where the codes are packed.
        depth: Items of each ranking; all of them if not given or if there are fewer.
    """

    def rank(direction: Direction, rows: Int64[np.ndarray, " queries"]) -> Ranking:
        queries, items = (images, texts) if direction == "i2t" else (texts, images)
        search = ExactSearch(similarity, bits)
        search.add(items)
        return search.search(queries[rows], min(depth or len(items), len(items)))

    return rank


def matrix_rank(i2t: np.ndarray, t2i: np.ndarray | None = None, *, depth: int | None = None) -> Rank:
    """Ranks by precomputed scores; equal ones in the order of the items.

    Args:
        i2t: ``images captions``, higher is nearer.
        t2i: ``captions images``; its transpose if not given.
        depth: Items of each ranking; all of them if not given or if there are fewer.
    """

    def rank(direction: Direction, rows: Int64[np.ndarray, " queries"]) -> Ranking:
        scores = i2t if direction == "i2t" else i2t.T if t2i is None else t2i
        block = np.asarray(scores[rows])
        order = np.argsort(-block.astype(np.float64), axis=1, kind="stable")[:, :depth]
        return Ranking(np.take_along_axis(block, order, axis=1), order)

    return rank


def sample_queries(
    rank: Rank, split: RetrievalSplit, *, per_direction: int = 12, hits: int = 5, seed: int = 0
) -> list[QuerySample]:
    """Picks queries of both directions, half of them with a match among the items shown, half without.

    Where there are too few of one kind, the other fills up. Within a direction they are sorted by that rank.

    Args:
        rank: Ranks the whole gallery for the query rows of a direction, such as ``exact_rank`` gives.
        split: Where the captions, images and labels come from.
        per_direction: How many to pick.
        hits: How many hits to show of each.
        seed: Of the choice.
    """
    samples: list[QuerySample] = []
    for direction in DIRECTIONS:
        queries, items = split.correspondence.searched(len(split.image_ids))[direction]
        rows = np.random.default_rng(seed).permutation(queries)[:POOL]
        ranking = rank(direction, rows)
        if split.correspondence.database is not None:
            ranking = _of_items(ranking, items)
        candidates = _count_candidates(ranking)
        matches = _matches(split, direction, rows[:, None], ranking.indices)
        matches &= np.arange(matches.shape[1]) < candidates[:, None]
        first = np.where(matches.any(axis=1), matches.argmax(axis=1) + 1, 0)
        samples.extend(
            _sample(
                split,
                direction,
                rows[pick],
                ranking,
                pick,
                matches[pick],
                int(first[pick]),
                hits,
                int(candidates[pick]),
            )
            for pick in _pick(first, per_direction, hits)
        )
    return samples


def _of_items(ranking: Ranking, items: Int64[np.ndarray, " items"]) -> Ranking:
    """The ranking of some items alone, out of one of all."""
    kept = np.isin(ranking.indices, items)
    return Ranking(*(part[kept].reshape(len(kept), -1) for part in (ranking.scores, ranking.indices)))


def _pick(first: Int64[np.ndarray, " pool"], wanted: int, hits: int) -> list[int]:
    found = [*np.flatnonzero((first > 0) & (first <= hits))]
    missed = [*np.flatnonzero((first == 0) | (first > hits))]
    from_missed = max(min(len(missed), wanted // 2), wanted - len(found))
    chosen = found[: wanted - min(from_missed, len(missed))] + missed[:from_missed]
    return sorted(chosen, key=lambda row: (first[row] == 0, first[row]))


def _sample(
    split: RetrievalSplit,
    direction: Direction,
    query: int,
    ranking: Ranking,
    pick: int,
    matches: Bool[np.ndarray, " items"],
    first: int,
    hits: int,
    candidates: int,
) -> QuerySample:
    shown = slice(min(hits, candidates))
    rows, scores = ranking.indices[pick, shown], ranking.scores[pick, shown]
    query_side, item_side = ("image", "text") if direction == "i2t" else ("text", "image")
    shared = _shared_labels(split, direction, int(query), rows)
    found = tuple(
        Hit(item_of(split, item_side, int(row)), float(score), bool(match), labels)
        for row, score, match, labels in zip(rows, scores, matches[shown], shared, strict=True)
    )
    missed = None
    if not matches[shown].any() and (best := _best_match(split, direction, int(query), ranking.indices[pick], first)):
        missed = item_of(split, item_side, best[0])
    return QuerySample(
        direction,
        item_of(split, query_side, int(query)),
        found,
        first or None,
        len(matches),
        candidates if candidates < len(matches) else None,
        missed,
    )


def _best_match(
    split: RetrievalSplit, direction: Direction, query: int, ranked: Int64[np.ndarray, " items"], first: int
) -> list[int]:
    """Row of the match of the best rank, or of the first one where none was ranked; empty where there is none."""
    if first:
        return [int(ranked[first - 1])]
    image_of = split.correspondence.caption_to_image
    return [int(image_of[query])] if direction == "t2i" else np.flatnonzero(image_of == query)[:1].tolist()


def _count_candidates(ranking: Ranking) -> Int64[np.ndarray, " queries"]:
    """Items of each query before the fill value of a re-ranking; all of them where a ranking does not end in it."""
    scores = ranking.scores
    last = scores[:, -1:]
    is_filled = ((last == FILL) | np.isneginf(last)) & (scores.shape[1] > 1) & (scores[:, -2:-1] == last)
    return np.asarray(scores.shape[1] - ((scores == last) & is_filled).sum(axis=1))


def item_of(split: RetrievalSplit, side: str, row: int) -> Item:
    """The caption or the image of a row; ``side`` is ``text`` or ``image``."""
    if side == "text":
        return Item(split.caption_ids[row], text=split.captions[row])
    return Item(split.image_ids[row], image=split.image_paths[row])


def _matches(
    split: RetrievalSplit,
    direction: Direction,
    queries: Int64[np.ndarray, "queries 1"],
    found: Int64[np.ndarray, "queries items"],
) -> Bool[np.ndarray, "queries items"]:
    image_of = split.correspondence.caption_to_image
    if direction == "i2t":
        return np.asarray(image_of[found] == queries)
    return np.asarray(found == image_of[queries])


def _shared_labels(
    split: RetrievalSplit, direction: Direction, query: int, found: Int64[np.ndarray, " items"]
) -> list[tuple[str, ...] | None]:
    if split.labels is None:
        return [None] * len(found)
    image_of = split.correspondence.caption_to_image
    query_image, images = (query, image_of[found]) if direction == "i2t" else (image_of[query], found)
    shared = split.labels[images] & split.labels[query_image]
    return [tuple(split.classes[column] for column in np.flatnonzero(row).tolist()) for row in shared]
