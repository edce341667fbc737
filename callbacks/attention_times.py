"""Times of attention at query time on growing query sets: the sizes of Table 6."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytorch_lightning as L
import torch
from torch import Tensor

from fico.bench.timing import Timing, once
from fico.errors import UsageError
from fico.protocols import Matcher, PairScorer
from fico.run_context import RunContext
from fico.scoring.candidates import candidates
from fico.scoring.matrix import score_matrix
from fico.scoring.rerank import Rerank
from fico.types import EncodedBatch
from fico.util.duration import seconds_of
from fico.util.units import seconds_text

log = logging.getLogger(__name__)


class AttentionTimes(L.Callback):
    """Scores growing parts and copies of the tested split and records the seconds of each.

    A pair scorer scores all pairs. A matcher scores the candidates of each query, once ``k`` at every size (``fixed``),
    once ``k`` for each 1,000 images (``scaled``), at least one. A size whose predicted time, seconds a pair of the
    size before times its pairs, does not fit into what is left of the budget is left out, and with it those above; the
    report fits them. Embeddings alone have no attention, so that nothing is measured.

    Args:
        context: The run's.
        images: Sizes in growing order, each image with its captions; beyond the split its rows begin again.
        k: Candidates of a query.
        budget: Time for all sizes of a rule together, such as ``2m``; the first size is always measured.

    Raises:
        UsageError: An argument is out of its range.
    """

    def __init__(
        self,
        context: RunContext,
        images: Sequence[int] = (250, 500, 1000, 10_000, 100_000),
        k: int = 128,
        budget: str | float = "2m",
    ) -> None:
        if not images or list(images) != sorted(set(images)) or any(type(n) is not int or n < 1 for n in images):
            raise UsageError(f"callbacks.attention.images is {list(images)}; give growing whole numbers from 1")
        if type(k) is not int or k < 1:
            raise UsageError(f"callbacks.attention.k is {k!r}; give a whole number of at least 1")
        self._images, self._k = tuple(images), k
        self._budget = seconds_of(budget, "callbacks.attention.budget")
        self._context = context

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not isinstance(module, PairScorer) and self._context.rerank is None:
            return
        if trainer.world_size > 1:
            log.warning("attention times are measured by one process alone; take trainer.devices=1")
            return
        owners = trainer.datamodule.evaluated_split(trainer).correspondence.caption_to_image
        with trainer.precision_plugin.forward_context():
            for rule in ("all",) if self._context.rerank is None else ("fixed", "scaled"):
                self._context.outputs.attention += self._rows(module, owners, rule)

    def _rows(self, module: L.LightningModule, owners: np.ndarray, rule: str) -> list[dict[str, Any]]:
        """Rows of ``efficiency.attention`` in `results.json`."""
        rows: list[dict[str, Any]] = []
        left = self._budget
        for images in self._images:
            captions = round(images * len(owners) / len(self._context.outputs.embeddings.images))
            k = {"all": None, "fixed": self._k, "scaled": max(1, self._k * images // 1000)}[rule]
            pairs = most_pairs(images, captions, k)
            if rows:
                predicted = rows[-1]["seconds"] / rows[-1]["pairs"] * pairs
                if predicted > left:
                    log.info("attention on %s images would take about %s: more than is left of the budget",
                             f"{images:,}", seconds_text(predicted))  # fmt: skip
                    break
                log.info("attention on %s images, about %s", f"{images:,}", seconds_text(predicted))
            encoded = part(self._context.outputs.embeddings, owners, images)
            begin = time.perf_counter()
            scored, timing = self._timed(module, encoded, k)
            left -= time.perf_counter() - begin
            rows.append(
                {
                    "images": images, "captions": len(encoded.texts), "rule": rule, "k": k, "pairs": scored,
                    "seconds": timing.seconds, "cpu_seconds": timing.cpu_seconds,
                }
            )  # fmt: skip
        return rows

    def _timed(self, module: L.LightningModule, encoded: EncodedBatch, k: int | None) -> tuple[int, Timing]:
        """Pairs that were scored, and the time of it; of candidates the first stage is not counted."""
        with TemporaryDirectory(dir=self._context.folder) as folder:  # a matrix may be larger than the memory
            scores = partial(score_matrix, module, encoded, path=Path(folder) / "scores.npy")
            if k is None:
                found, timing = once(scores)
                return found.size, timing
            assert isinstance(module, Matcher | PairScorer)
            first = candidates(encoded.images, encoded.texts, k, scores() if isinstance(module, PairScorer) else None)
            _, timing = once(partial(Rerank(module, k).score_pairs, encoded, first.pairs))
            return len(first.pairs), timing


def most_pairs(images: int, captions: int, k: int | None) -> int:
    """Pairs of both directions, where no pair is a candidate in both; all for ``k`` None."""
    if k is None:
        return images * captions
    return min(images * captions, images * min(k, captions) + captions * min(k, images))


def part(encoded: EncodedBatch, owners: np.ndarray, images: int) -> EncodedBatch:
    """The first images with their captions, or beyond the split its rows again and again.

    Args:
        encoded: The whole split, in the order of its ids.
        owners: The image row of each caption.
        images: At least 1.
    """
    count = len(encoded.images)
    copies, rest = divmod(images, count)
    rows = torch.cat([*[torch.arange(count)] * copies, torch.arange(rest)])
    last = torch.from_numpy(np.flatnonzero(owners < rest))
    captions = torch.cat([*[torch.arange(len(owners))] * copies, last])

    def taken(values: Tensor | None, chosen: Tensor) -> Tensor | None:
        return None if values is None else values[chosen]

    return EncodedBatch(
        images=encoded.images[rows],
        image_ids=torch.arange(len(rows)),
        texts=encoded.texts[captions],
        text_ids=torch.arange(len(captions)),
        text_lengths=taken(encoded.text_lengths, captions),
        image_states=taken(encoded.image_states, rows),
        text_states=taken(encoded.text_states, captions),
    )
