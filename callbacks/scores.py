"""Scores of a model that needs image and text at once: query-time attention, computed and timed."""

import time
from pathlib import Path

import numpy as np
import pytorch_lightning as L

from callbacks.encoded import EncodedEpoch
from fico.networks import PairScorer
from fico.scoring import score_matrix


class PairScores(L.Callback):
    """Lets a pair scorer score every image with every caption at the end of an epoch; of an encoder nothing.

    The tested scores are written to ``scores.npy`` tile by tile, so that a matrix that takes hours can be resumed and
    never has to fit into memory.

    Args:
        encoded: Where the vectors of regions and words are read.
        folder: The run's folder.
    """

    def __init__(self, encoded: EncodedEpoch, folder: Path) -> None:
        self._encoded = encoded
        self._path = folder / "scores.npy"
        self.matrix: np.ndarray | None = None
        """``images captions``, or None where the embeddings themselves are compared."""
        self.attention_seconds = 0.0

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._score(module, None, progress=False)

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._score(module, self._path if trainer.world_size == 1 else None, progress=trainer.is_global_zero)

    def _score(self, module: L.LightningModule, path: Path | None, *, progress: bool) -> None:
        if isinstance(module, PairScorer):
            begin = time.perf_counter()
            self.matrix = score_matrix(module, self._encoded.embeddings, path=path, progress=progress)
            self.attention_seconds = time.perf_counter() - begin
