"""Scores of a model that needs image and text at once: query-time attention, computed and timed."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as L

from fico.errors import UsageError
from fico.protocols import Matcher, PairScorer
from fico.scoring.matrix import score_matrix
from fico.scoring.rerank import Rerank
from fico.scoring.score_file import rank_path, spent_seconds
from fico.types import EncodedBatch
from fico.util.processes import rank_and_world_size


class PairScores:
    """Scores of both directions by a pair scorer or re-ranker, from the rows of a whole split.

    A validation epoch is judged by the first stage alone: re-ranking every epoch would be too costly. Scoring runs
    under the precision of the trainer's steps.

    Args:
        trainer: Its precision and processes.
        module: The model.
        folder: Where test scores are written tile by tile, so that a matrix that takes hours can be resumed and need
            not fit into memory: ``scores.npy``, and ``rerank.npy`` of a re-ranking. None keeps them in memory.
        rerank: ``k`` and ``rule`` of `fico.Rerank`; None without re-ranking.
        progress: Show progress bars.

    Raises:
        UsageError: The model scores no pairs, but shall re-rank.
    """

    def __init__(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        *,
        folder: Path | None = None,
        rerank: Mapping[str, Any] | None = None,
        progress: bool = False,
    ) -> None:
        if rerank is not None and not isinstance(module, Matcher):
            raise UsageError(f"{type(module).__name__} scores no pairs, so it cannot re-rank; leave out model.rerank")
        self._trainer, self._module = trainer, module
        self._folder, self._rerank, self._progress = folder, rerank, progress
        self.seconds = 0.0
        """Time that scoring took."""

    @property
    def are_needed(self) -> bool:
        """Whether pairs are scored: of an encoder without re-ranking the embeddings are compared."""
        return self._rerank is not None or isinstance(self._module, PairScorer)

    def __call__(self, encoded: EncodedBatch) -> tuple[np.ndarray, np.ndarray]:
        """Scores ``images captions`` and ``captions images``; of a re-ranker not transposes of each other."""
        begin = time.perf_counter()
        with self._trainer.precision_plugin.forward_context():
            scores = self._matrix(encoded) if isinstance(self._module, PairScorer) else None
            if self._rerank is None:
                assert scores is not None
                both = scores, scores.T
            else:
                both = self._reranked(encoded, scores, self._rerank)
        # of a run that goes on, the journals know the seconds of the processes before too
        self.seconds = max(time.perf_counter() - begin, sum(self._journal_seconds()))
        return both

    def _journal_seconds(self) -> Iterator[float]:
        for name in ("scores.npy", "rerank.npy") if self._folder is not None else ():
            yield spent_seconds(rank_path(self._folder / name, *rank_and_world_size()))

    def _matrix(self, encoded: EncodedBatch) -> np.ndarray:
        path = None if self._folder is None else self._folder / "scores.npy"
        return score_matrix(self._module, encoded, path=path, keep_journal=True, progress=self._progress)

    def _reranked(
        self, encoded: EncodedBatch, scores: np.ndarray | None, options: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        path = None if self._folder is None else self._folder / "rerank.npy"
        files = {"path": path, "keep_journal": True}
        rerank = Rerank(self._module, options["k"], rule=options["rule"], **files, progress=self._progress)
        reranked = rerank(encoded, scores)
        return reranked.i2t, reranked.t2i
