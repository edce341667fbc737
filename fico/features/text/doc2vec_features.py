"""Text features of a data set: Doc2Vec vectors, precomputed or fitted."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features.cache import cached_rows
from fico.features.precomputed import Features, read_precomputed

if TYPE_CHECKING:
    from gensim.models.doc2vec import Doc2Vec

DOC2VEC_VERSION = 2  # raise it when fitting or inference changes
DIM = 300


def doc2vec_features(root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
    """Give a Doc2Vec vector of each caption.

    Precomputed ``features/doc2vec.npy`` is taken as it is. Otherwise the model is fitted on the captions
    of the split ``train`` alone, and the vectors of all splits are inferred and cached.

    Args:
        root: The data set's folder.
        splits: By name; ``train`` among them.
        progress: Show a bar.

    Raises:
        DataError: The precomputed files are broken.
    """
    ids = {name: split.caption_ids for name, split in splits.items()}
    precomputed = read_precomputed(root, "doc2vec", ids, axes=2)
    if precomputed is not None:
        return precomputed
    fitted = _Fitted(splits["train"], progress)
    rows = {name: fitted.vectors(split) for name, split in splits.items()}
    origin = f"Doc2Vec v{DOC2VEC_VERSION} (PV-DM, {DIM} values), fitted on the training captions"
    return Features(rows, origin, is_made=True)


def bert_states(root: Path, splits: Mapping[str, RetrievalSplit]) -> Features:
    """Read the states of a frozen BERT from ``features/bert.npy``, ``captions words dim``, padded with zero rows.

    Args:
        root: The data set's folder.
        splits: By name.

    Raises:
        DataError: The files are not there or broken.
    """
    ids = {name: split.caption_ids for name, split in splits.items()}
    found = read_precomputed(root, "bert", ids, axes=3)
    if found is None:
        raise DataError(
            f"there are no BERT states in {root / 'features'}; put bert.npy (captions x words x dim, padded with zero "
            "rows) and bert.json (ids, origin) there, or take model.size=tiny, which needs none"
        )
    return found


class _Fitted:
    """Doc2Vec of the training captions, fitted when the first vector is not in the cache."""

    def __init__(self, train: RetrievalSplit, progress: bool) -> None:
        self.train = train
        self.progress = progress
        self._model: Doc2Vec | None = None

    def vectors(self, split: RetrievalSplit) -> np.ndarray:
        content = [DOC2VEC_VERSION, version("gensim"), _digest(self.train), _digest(split)]
        return cached_rows("doc2vec", content, (len(split.captions), DIM), self._infer(split))

    def _infer(self, split: RetrievalSplit) -> Iterator[np.ndarray]:
        from fico.features.text import doc2vec

        if self._model is None:
            self._model = doc2vec.fitted_once(self.train.captions, progress=self.progress)
        yield doc2vec.infer(self._model, split.captions, progress=self.progress)


def _digest(split: RetrievalSplit) -> str:
    return hashlib.sha256("\n".join(split.captions).encode()).hexdigest()
