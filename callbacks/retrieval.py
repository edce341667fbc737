"""Scores the embeddings of an epoch as retrieval, in both directions."""

import sys
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as L
import torch.distributed as dist

from callbacks.encoded import EncodedEpoch
from callbacks.scores import PairScores
from fico.evaluation.evaluate import evaluate, evaluate_scores, merge_results
from fico.evaluation.result import RetrievalResult


class RetrievalEvaluation(L.Callback):
    """Evaluates at the end of every validation and test epoch and logs ``{split}/{task}/{direction}/{metric}``.

    Beside them the mean of both directions as ``{split}/{task}/mean/{metric}``, by which the best epoch is chosen.
    Each process scores its share of the queries against the whole gallery.

    Args:
        encoded: Where the embeddings are read.
        scores: Where the score matrix of a pair scorer is read.
        similarity: Measure of the model: cosine, inner, euclidean or hamming.
        metric: Options of `fico.evaluate` by name: tasks, ties, ap, empty, recall, median, bootstrap.
    """

    def __init__(self, encoded: EncodedEpoch, scores: PairScores, similarity: str, metric: Mapping[str, Any]) -> None:
        self._encoded = encoded
        self._scores = scores
        self._similarity = similarity
        self._metric = dict(metric)
        self.result: RetrievalResult | None = None
        """The result of the last test epoch."""

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # one resample: nobody reads the intervals of a validation epoch
        self._log(module, "val", self._evaluate(trainer, bootstrap=1))

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.result = self._evaluate(trainer)
        self._log(module, trainer.datamodule.test_split, self.result)

    def _evaluate(self, trainer: L.Trainer, **changed: Any) -> RetrievalResult:
        split = trainer.datamodule.evaluated_split(trainer)
        options: dict[str, Any] = {
            "labels": split.labels,
            "shard": (trainer.global_rank, trainer.world_size),
            "progress": trainer.is_global_zero and sys.stderr.isatty(),
            **self._metric,
            **changed,
        }
        both, i2t, t2i = self._encoded.embeddings, self._scores.i2t, self._scores.t2i
        if i2t is None or t2i is None:
            options |= {"similarity": self._similarity}
            result = evaluate(both.images, both.texts, split.correspondence, **options)
        else:
            result = evaluate_scores(i2t=i2t, t2i=t2i, correspondence=split.correspondence, **options)
        if trainer.world_size == 1:
            return result
        shares: list[Any] = [None] * trainer.world_size
        dist.all_gather_object(shares, result)
        return merge_results(shares)

    @staticmethod
    def _log(module: L.LightningModule, split: str, result: RetrievalResult) -> None:
        values = {name: value for name, value in result.metrics.items() if "/chance/" not in name}
        for name in [name for name in values if "/i2t/" in name]:
            other = name.replace("/i2t/", "/t2i/")
            if other in values:
                values[name.replace("/i2t/", "/mean/")] = (values[name] + values[other]) / 2
        module.log_dict({f"{split}/{name}": value for name, value in values.items()}, rank_zero_only=True)
