"""Scores of a model that needs image and text at once: query-time attention, computed and timed."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as L

from fico.errors import UsageError
from fico.protocols import Matcher, PairScorer
from fico.run_context import RunContext
from fico.scoring.matrix import score_matrix
from fico.scoring.rerank import Rerank


class PairScores(L.Callback):
    """Computes the score matrix of a pair scorer at the end of an epoch; does nothing for an encoder.

    A re-ranker scores its candidates after the test epoch. A validation epoch is judged by the first stage alone:
    re-ranking every epoch would be too costly.

    The test scores are written tile by tile to ``scores.npy`` of the run's folder, so that a matrix that takes hours
    can be resumed and need not fit into memory; those of a re-ranking to ``rerank.npy``. Scoring runs under the
    precision of the trainer's steps.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        with trainer.precision_plugin.forward_context():
            self._score(module, None, progress=False)

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = self._context.folder if trainer.world_size == 1 else None
        rerank = self._context.rerank
        with trainer.precision_plugin.forward_context():
            self._score(module, folder, progress=trainer.is_global_zero)
            if rerank is not None:
                self._rerank(module, rerank, progress=trainer.is_global_zero)

    def _score(self, module: L.LightningModule, folder: Path | None, *, progress: bool) -> None:
        outputs = self._context.outputs
        outputs.i2t = outputs.t2i = None
        outputs.attention_seconds = 0.0
        if isinstance(module, PairScorer):
            begin = time.perf_counter()
            path = None if folder is None else folder / "scores.npy"
            outputs.i2t = score_matrix(module, outputs.embeddings, path=path, progress=progress)
            outputs.t2i = outputs.i2t.T
            outputs.attention_seconds = time.perf_counter() - begin

    def _rerank(self, module: L.LightningModule, options: Mapping[str, Any], *, progress: bool) -> None:
        if not isinstance(module, Matcher):
            raise UsageError(f"{type(module).__name__} scores no pairs, so it cannot re-rank; leave out model.rerank")
        begin, outputs = time.perf_counter(), self._context.outputs
        path = self._context.folder / "rerank.npy"
        rerank = Rerank(module, options["k"], rule=options["rule"], path=path, progress=progress)
        reranked = rerank(outputs.embeddings, outputs.i2t)
        outputs.i2t, outputs.t2i = reranked.i2t, reranked.t2i
        outputs.attention_seconds += time.perf_counter() - begin
