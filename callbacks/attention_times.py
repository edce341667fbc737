"""Times of attention at query time on growing query sets: the sizes of Table 6."""

import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as L

from callbacks.budget import Budget, counted, growing
from fico.bench.timing import Timing, once
from fico.protocols import Matcher, PairScorer
from fico.run_context import RunContext
from fico.scoring.candidates import candidates
from fico.scoring.copies import Copies
from fico.scoring.matrix import score_matrix
from fico.scoring.rerank import Rerank
from fico.scoring.score_file import spent_seconds
from fico.util.duration import seconds_of

log = logging.getLogger(__name__)
LEAST = 0.1  # seconds of the test's own scoring that are kept as a row: its journal counts milliseconds
PAIR_BYTES = 40  # of memory for a candidate pair: its key, rows and place in a tile


class AttentionTimes(L.Callback):
    """Scores growing parts and copies of the tested split and records the seconds of each.

    A pair scorer scores all pairs. A matcher scores the candidates of each query, once ``k`` at every size (``fixed``),
    once ``k`` for each 1,000 images (``scaled``), at least one; finding them is not timed, and no score is kept. The
    scoring of the test itself is a row where it follows the rule, from its journal: with the writing of the scores, and
    without processor time. A size whose predicted time, its pairs times the seconds a pair of the most pairs so far,
    does not fit into what is left of the budget is left out, and with it those above; so is one that does not fit into
    memory. Embeddings alone have no attention, so that nothing is measured.

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
        self._images = growing(images, "callbacks.attention.images")
        self._k = counted(k, "callbacks.attention.k")
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
        rows = self._of_the_test(len(owners), rule)
        budget = Budget(self._budget, self._context.folder)
        for size, images in enumerate(self._images):
            if images in [row["images"] for row in rows]:
                continue
            k = self._candidates(rule, images)
            copies = Copies(self._context.outputs.embeddings, owners, images)
            pairs = most_pairs(images, copies.captions, k)
            largest = max(rows, key=lambda row: row["pairs"], default={"seconds": 0.0, "pairs": 1})
            seconds = largest["seconds"] / largest["pairs"] * pairs
            memory = _bytes(module, copies, pairs, k)
            what = f"attention on {images:,} images"
            if not budget.allows(what, seconds, memory=memory, is_timed=size > 0):
                break
            with budget.passing():
                scored, timing = _timed(module, copies, k)
            rows.append(_row(images, copies.captions, rule, k, scored, timing.seconds, timing.cpu_seconds))
        return sorted(rows, key=lambda row: row["images"])

    def _candidates(self, rule: str, images: int) -> int | None:
        return {"all": None, "fixed": self._k, "scaled": max(1, self._k * images // 1000)}[rule]

    def _of_the_test(self, captions: int, rule: str) -> list[dict[str, Any]]:
        """The row of the whole split, if the test took long enough and as many candidates as the rule."""
        images, rerank = len(self._context.outputs.embeddings.images), self._context.rerank
        k = self._candidates(rule, images)
        path = self._context.folder / ("scores.npy" if rerank is None else "rerank.npy")
        seconds = spent_seconds(path)
        if seconds < LEAST or (rerank is not None and rerank["k"] != k):
            return []
        return [_row(images, captions, rule, k, np.load(path, mmap_mode="r").size, seconds, None)]


def _row(
    images: int, captions: int, rule: str, k: int | None, pairs: int, seconds: float, cpu_seconds: float | None
) -> dict[str, Any]:
    return {
        "images": images, "captions": captions, "rule": rule, "k": k, "pairs": pairs, "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }  # fmt: skip


def _timed(module: L.LightningModule, copies: Copies, k: int | None) -> tuple[int, Timing]:
    """Pairs that were scored, and the time of it; of candidates the first stage is not counted."""
    if k is None:
        _, timing = once(partial(copies.score_all, module))
        return copies.images * copies.captions, timing
    assert isinstance(module, Matcher | PairScorer)
    rows, rerank = copies.rows, Rerank(module, k)
    scores = score_matrix(module, rows) if isinstance(module, PairScorer) else None
    pairs = copies.candidate_pairs(candidates(rows.images, rows.texts, k, scores), k)
    _, timing = once(lambda: deque((rerank.score_pairs(rows, some) for some in pairs.by_copy()), maxlen=0))
    return len(pairs), timing


def _bytes(module: L.LightningModule, copies: Copies, pairs: int, k: int | None) -> int:
    """Memory beside the rows: the pairs of one copy of the images, and the first stage's scores."""
    if k is None:
        return 0
    first = len(copies.image_copies) * len(copies.text_copies) if isinstance(module, PairScorer) else 0
    return PAIR_BYTES * pairs // int(copies.image_copies.max()) + copies.rows.images.element_size() * first


def most_pairs(images: int, captions: int, k: int | None) -> int:
    """Pairs of both directions, where no pair is a candidate in both; all for ``k`` None."""
    if k is None:
        return images * captions
    return min(images * captions, images * min(k, captions) + captions * min(k, images))
