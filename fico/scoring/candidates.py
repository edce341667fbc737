"""The candidate pairs of a re-ranking, and the score matrices made from their scores."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from fico.errors import DataError
from fico.search.brute_force import top_k
from fico.search.exact import ExactSearch
from fico.types import Ranking

Rule = Literal["itm", "itm_plus_similarity"]
FILL = (
    -100.0
)  # score of a pair that is no candidate, as in the originals; minus infinity where a candidate scores lower
_QUERIES = 1024  # rows of a score matrix sorted at once


@dataclass(frozen=True, slots=True, eq=False)
class Reranked:
    """Scores of both directions. The two are not transposes of each other: each has its own candidates.

    Args:
        i2t: ``images captions``; `FILL` where the caption is none of the image's candidates.
        t2i: ``captions images``; `FILL` where the image is none of the caption's candidates.
        pairs: Number of distinct pairs that were scored.
    """

    i2t: Float32[np.ndarray, "images captions"]
    t2i: Float32[np.ndarray, "captions images"]
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The k best items of each query in both directions, by the first stage.

    Args:
        i2t: Captions of each image.
        t2i: Images of each caption.
    """

    i2t: Ranking
    t2i: Ranking

    @property
    def pairs(self) -> Int64[np.ndarray, " pairs"]:
        """Union of the candidates of both directions, as sorted keys ``image * captions + caption``."""
        return np.union1d(*self.keys())

    def filled(self, scores: Float32[np.ndarray, " pairs"], rule: Rule) -> Reranked:
        """Scatter the scores of `pairs` into both matrices.

        Args:
            scores: One per pair of `pairs`.
            rule: Whether the first-stage score is added; see `fico.Rerank`.

        Raises:
            DataError: The number of scores is not that of the pairs.
        """
        pairs = self.pairs
        if len(scores) != len(pairs):
            raise DataError(f"there are {len(scores)} scores for {len(pairs)} pairs; re-rank again")
        found = []
        for keys, first, items in zip(
            self.keys(), (self.i2t, self.t2i), (len(self.t2i.indices), len(self.i2t.indices)), strict=True
        ):
            values = scores[np.searchsorted(pairs, keys)]
            found.append(scattered(first, values + first.scores if rule == "itm_plus_similarity" else values, items))
        return Reranked(found[0], found[1], len(pairs))

    def keys(self) -> tuple[Int64[np.ndarray, "images k"], Int64[np.ndarray, "captions k"]]:
        """The candidates of each image and of each caption as keys of `pairs`."""
        images, captions = len(self.i2t.indices), len(self.t2i.indices)
        return (
            np.arange(images)[:, None] * captions + self.i2t.indices,
            np.arange(captions)[:, None] + self.t2i.indices * captions,
        )


def scattered(
    first: Ranking, scores: Float[np.ndarray, "queries k"], items: int
) -> Float32[np.ndarray, "queries items"]:
    """Score matrix of re-ranked candidates; `FILL`, or minus infinity where a candidate scores lower, at other items.

    Args:
        first: The candidates.
        scores: Of each.
        items: Size of the gallery.
    """
    fill = FILL if scores.min() > FILL else -np.inf
    matrix = np.full((len(first.indices), items), fill, np.float32)
    np.put_along_axis(matrix, first.indices, scores.astype(np.float32), axis=1)
    return matrix


def candidates(
    images: Tensor | np.ndarray,
    texts: Tensor | np.ndarray,
    k: int,
    scores: Float[np.ndarray, "images captions"] | None = None,
) -> Candidates:
    """The k nearest captions of each image and images of each caption, by score, then by row.

    Args:
        images: ``images dim``.
        texts: ``captions dim``.
        k: Candidates per query; a smaller gallery is taken as a whole.
        scores: First-stage scores where they are no inner product of embeddings.

    Raises:
        DataError: Items have several vectors each, and ``scores`` is None.
    """
    if scores is not None:
        return Candidates(_best(scores, k), _best(scores.T, k))
    if images.ndim != 2 or texts.ndim != 2:
        raise DataError("items have several vectors each; pass the first stage's scores as well")
    rankings = []
    for queries, items in ((images, texts), (texts, images)):
        search = ExactSearch("inner")
        search.add(items)
        rankings.append(search.search(queries, min(k, len(items))))
    return Candidates(rankings[0], rankings[1])


def _best(scores: np.ndarray, k: int) -> Ranking:
    """The k highest scores of each row, in blocks of rows."""
    k = min(k, scores.shape[1])
    blocks = (np.array(scores[start : start + _QUERIES]) for start in range(0, len(scores), _QUERIES))
    parts = [top_k(torch.from_numpy(block), k) for block in blocks]
    return Ranking(np.concatenate([part.scores for part in parts]), np.concatenate([part.indices for part in parts]))
