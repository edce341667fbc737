"""Similarity of matching pairs beside that of random pairs: how far a model holds the two apart."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64

from fico.correspondence import Correspondence
from fico.report.html.samples import Rows
from fico.scoring.candidates import FILL
from fico.similarity import Similarity

MOST = 20_000  # pairs of each kind
Score = Callable[[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]], np.ndarray]  # of image and caption rows


@dataclass(frozen=True, slots=True, eq=False)
class PairSimilarity:
    """Scores of matching pairs and of random pairs that do not match.

    Args:
        matching: Of captions with their image; those that a re-ranking did not score are left out.
        random: As many captions with other images.
        above: Probability that a matching pair scores above a random one, ties half (the area under the ROC curve).
    """

    matching: Float64[np.ndarray, " pairs"]
    random: Float64[np.ndarray, " pairs"]
    above: float


def pair_similarity(score: Score, correspondence: Correspondence, images: int, seed: int) -> PairSimilarity | None:
    """Draws the pairs and scores them; None where there is one image alone, or no pair was scored.

    Args:
        score: Of pairs of rows.
        correspondence: Which caption belongs to which image.
        images: How many.
        seed: Of the draw.
    """
    if images < 2:
        return None
    draw = np.random.default_rng(seed)
    owners = correspondence.caption_to_image
    captions = draw.permutation(len(owners))[:MOST]
    other = (owners[captions] + draw.integers(1, images, len(captions))) % images
    matching, random = (_known(score(rows, captions)) for rows in (owners[captions], other))
    if not len(matching) or not len(random):
        return None
    ordered = np.sort(random)
    below, upto = (np.searchsorted(ordered, matching, side) for side in ("left", "right"))
    return PairSimilarity(matching, random, float((below + upto).mean() / (2 * len(random))))


def embedded_pairs(images: Rows, texts: Rows, similarity: Similarity) -> Score:
    """Scores pairs of embeddings; of codes of +1 and -1 the fraction of equal bits.

    Args:
        images: One row per image.
        texts: One row per caption.
        similarity: Measure of the model.
    """

    def score(image_rows: Int64[np.ndarray, " pairs"], text_rows: Int64[np.ndarray, " pairs"]) -> np.ndarray:
        chosen = (images, image_rows), (texts, text_rows)
        one, other = (torch.as_tensor(side)[rows].double().numpy() for side, rows in chosen)
        if similarity == "hamming":
            return np.asarray((np.sign(one) == np.sign(other)).mean(axis=1))
        if similarity == "euclidean":
            return -np.asarray(np.linalg.norm(one - other, axis=1))
        products = np.asarray((one * other).sum(axis=1))
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        return products / np.maximum(lengths, np.finfo(np.float64).tiny) if similarity == "cosine" else products

    return score


def scored_pairs(i2t: np.ndarray) -> Score:
    """Looks pairs up in a matrix ``images captions``."""
    return lambda image_rows, text_rows: np.asarray(i2t[image_rows, text_rows])


def _known(scores: np.ndarray) -> Float64[np.ndarray, " pairs"]:
    return np.asarray(scores[(scores != FILL) & np.isfinite(scores)], dtype=np.float64)
