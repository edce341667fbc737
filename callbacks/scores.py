"""Scores of a model that needs image and text at once: query-time attention, computed and timed."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as L

from callbacks.encoded import EncodedEpoch
from fico.errors import UsageError
from fico.protocols import Matcher, PairScorer
from fico.scoring.matrix import score_matrix
from fico.scoring.rerank import Rerank


class PairScores(L.Callback):
    """Lets a pair scorer score every image with every caption at the end of an epoch; of an encoder nothing.

    A model that re-ranks scores its best pairs once more after the test epoch. A validation epoch is judged by the
    first stage alone: re-ranking every epoch would cost more than it tells.

    The tested scores are written to ``scores.npy`` tile by tile, so that a matrix that takes hours can be resumed and
    never has to fit into memory; those of a re-ranking to ``rerank.npy``.

    Args:
        encoded: Where the vectors of regions and words, and the states of a re-ranker, are read.
        folder: The run's folder.
        rerank: ``k`` and ``rule`` of `fico.Rerank`; None leaves the first stage as it is.
    """

    def __init__(self, encoded: EncodedEpoch, folder: Path, rerank: Mapping[str, Any] | None = None) -> None:
        self._encoded = encoded
        self._folder = folder
        self._rerank = rerank
        self.i2t: np.ndarray | None = None
        """``images captions``, or None where the embeddings themselves are compared."""
        self.t2i: np.ndarray | None = None
        """``captions images``; of a re-ranker no transpose of the other."""
        self.attention_seconds = 0.0

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._score(module, None, progress=False)

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = self._folder if trainer.world_size == 1 else None
        self._score(module, folder, progress=trainer.is_global_zero)
        if self._rerank is not None:
            self._reorder(module, self._rerank, progress=trainer.is_global_zero)

    def _score(self, module: L.LightningModule, folder: Path | None, *, progress: bool) -> None:
        self.i2t = self.t2i = None
        self.attention_seconds = 0.0
        if isinstance(module, PairScorer):
            begin = time.perf_counter()
            path = None if folder is None else folder / "scores.npy"
            self.i2t = score_matrix(module, self._encoded.embeddings, path=path, progress=progress)
            self.t2i = self.i2t.T
            self.attention_seconds = time.perf_counter() - begin

    def _reorder(self, module: L.LightningModule, options: Mapping[str, Any], *, progress: bool) -> None:
        if not isinstance(module, Matcher):
            raise UsageError(f"{type(module).__name__} scores no pairs, so it cannot re-rank; leave out model.rerank")
        begin = time.perf_counter()
        path = self._folder / "rerank.npy"
        rerank = Rerank(module, options["k"], rule=options["rule"], path=path, progress=progress)
        found = rerank(self._encoded.embeddings, self.i2t)
        self.i2t, self.t2i = found.i2t, found.t2i
        self.attention_seconds += time.perf_counter() - begin
