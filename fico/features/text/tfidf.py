"""Tf-idf of the training captions' words, reduced to their main directions: latent semantic analysis."""

import hashlib
import json
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
from fico.features.cache import cached_rows
from fico.features.precomputed import Features

TFIDF_VERSION = 1  # raise it when the directions change


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
        space = TfIdfSpace(splits["train"].tokens, self.dim, self.min_count)
        rows = {name: space.vectors(split.tokens) for name, split in splits.items()}
        return Features(rows, space.origin)


class TfIdfSpace:
    """Words of the training captions, their inverse document frequencies, and the main directions.

    The directions are cached by content, as the decomposition takes seconds and a search would repeat it.

    Args:
        captions: Words of each training caption.
        dim: As for `TfIdf`.
        min_count: As for `TfIdf`.
    """

    def __init__(self, captions: Sequence[Sequence[str]], dim: int | None, min_count: int = 1) -> None:
        self._weights = _Weights(captions, min_count)
        self._directions: np.ndarray | None = None
        counted = self._weights.vectors(captions)
        if dim is not None and dim < min(counted.shape):
            content = [TFIDF_VERSION, min_count, hashlib.sha256(json.dumps(captions).encode()).hexdigest()]
            blocks = (_main_directions(counted, dim) for _ in range(1))  # not touched where the cache has them
            self._directions = cached_rows("tfidf", content, (counted.shape[1], dim), blocks)

    @property
    def words(self) -> Sequence[str]:
        """Those that have a weight, in alphabetical order."""
        return self._weights.words

    @property
    def word_vectors(self) -> Float32[np.ndarray, "words dim"]:
        """Inverse document frequency times row of the directions, of each word; a caption's vector is a sum of them."""
        directions = np.eye(len(self.words)) if self._directions is None else self._directions
        vectors: np.ndarray = (self._weights.idf[:, None] * directions).astype(np.float32)
        return vectors

    @property
    def origin(self) -> str:
        """What made the vectors, in a few words."""
        made = f"tf-idf of {len(self.words)} words of the training captions"
        return made if self._directions is None else f"{made}, {self._directions.shape[1]} singular directions"

    def vectors(self, captions: Sequence[Sequence[str]]) -> Float32[np.ndarray, "captions dim"]:
        """One vector for each caption; zeros where no word is known.

        Args:
            captions: Words of each.
        """
        counted = self._weights.vectors(captions)
        return counted.toarray() if self._directions is None else np.ascontiguousarray(counted @ self._directions)


class _Weights:
    """Columns and inverse document frequencies of the training captions' words."""

    def __init__(self, captions: Sequence[Sequence[str]], min_count: int) -> None:
        counts = Counter(word for caption in captions for word in caption)
        documents = Counter(word for caption in captions for word in set(caption))
        self.words = sorted(word for word, count in counts.items() if count >= min_count)
        self._column = {word: column for column, word in enumerate(self.words)}
        holding = np.array([documents[word] for word in self.words])
        self.idf = 1 + np.log((1 + len(captions)) / (1 + holding))

    def vectors(self, captions: Sequence[Sequence[str]]) -> sparse.csr_array:
        """One row of length 1 for each caption; zero where no word is known."""
        rows, columns, values = [], [], []
        for row, caption in enumerate(captions):
            known = Counter(self._column[word] for word in caption if word in self._column)
            weights = np.array([(1 + np.log(count)) * self.idf[column] for column, count in known.items()])
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
