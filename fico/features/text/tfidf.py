"""Tf-idf of the training captions' words, reduced to their main directions: latent semantic analysis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from scipy import sparse
from scipy.sparse.linalg import svds

from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.features.precomputed import Features


@dataclass(frozen=True, slots=True)
class TfIdf:
    """Reads captions as tf-idf vectors; words, their weights and the directions are those of the training captions.

    The weight of a word that a caption has ``n`` times is ``(1 + ln n) (1 + ln((1 + N) / (1 + df)))``, where ``df`` of
    the ``N`` training captions have it; a vector is scaled to length 1, then projected onto the right singular vectors
    of the training captions.

    Args:
        dim: Values a caption, fewer where the training captions have fewer words or are fewer; None: one for each word.
        min_count: Words occur at least so often in the training captions.

    Raises:
        UsageError: ``dim`` or ``min_count`` is below 1.

    Source:
        Salton and Buckley, Information Processing & Management 24, 1988; Deerwester et al., JASIS 41, 1990.
    """

    dim: int | None = 400
    min_count: int = 1

    def __post_init__(self) -> None:
        if (self.dim is not None and self.dim < 1) or self.min_count < 1:
            raise UsageError(f"dim {self.dim} and min_count {self.min_count} of tf-idf must be at least 1")

    def check(self, root: Path | None) -> None:
        """Nothing is required but the captions."""

    def features(self, root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
        """Give one vector for each caption.

        Args:
            root: Not used: there are no precomputed ones.
            splits: By name; ``train`` among them.
            progress: Not used: it takes seconds.
        """
        weights = _Weights(splits["train"].tokens, self.min_count)
        counted = {name: weights.vectors(split.tokens) for name, split in splits.items()}
        size = len(weights.words)
        if self.dim is None or self.dim >= min(counted["train"].shape):
            rows = {name: matrix.toarray() for name, matrix in counted.items()}
            return Features(rows, f"tf-idf of {size} words of the training captions")
        directions = _main_directions(counted["train"], self.dim)
        rows = {name: np.ascontiguousarray(matrix @ directions) for name, matrix in counted.items()}
        return Features(rows, f"tf-idf of {size} words of the training captions, {self.dim} singular directions")


class _Weights:
    """Columns and inverse document frequencies of the training captions' words."""

    def __init__(self, captions: Sequence[Sequence[str]], min_count: int) -> None:
        counts = Counter(word for caption in captions for word in caption)
        documents = Counter(word for caption in captions for word in set(caption))
        self.words = sorted(word for word, count in counts.items() if count >= min_count)
        self._column = {word: column for column, word in enumerate(self.words)}
        holding = np.array([documents[word] for word in self.words])
        self._idf = 1 + np.log((1 + len(captions)) / (1 + holding))

    def vectors(self, captions: Sequence[Sequence[str]]) -> sparse.csr_array:
        """One row of length 1 for each caption; zero where no word is known."""
        rows, columns, values = [], [], []
        for row, caption in enumerate(captions):
            known = Counter(self._column[word] for word in caption if word in self._column)
            weights = np.array([(1 + np.log(count)) * self._idf[column] for column, count in known.items()])
            rows += [row] * len(known)
            columns += list(known)
            values += list(weights / max(float(np.linalg.norm(weights)), 1e-12))
        shape = (len(captions), len(self.words))
        return sparse.csr_array((np.array(values, np.float32), (rows, columns)), shape=shape)


def _main_directions(vectors: sparse.csr_array, dim: int) -> Float32[np.ndarray, "words dim"]:
    """Right singular vectors by falling value, each with its largest entry positive, so that they are determined."""
    start = np.ones(min(vectors.shape))  # ARPACK's own would be random
    directions = svds(vectors.astype(np.float64), k=dim, v0=start, return_singular_vectors="vh")[2][::-1]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return np.ascontiguousarray((directions * np.sign(largest)).T.astype(np.float32))
