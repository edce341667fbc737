"""Times of encoding the tested split several times over: the sizes of Table 5."""

import logging
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as L
import torch

from callbacks.efficiency import peak_memory, reset_peak_memory, synchronize
from fico.embeddings.collect import Collector
from fico.errors import UsageError
from fico.run_context import RunContext
from fico.util.duration import seconds_of
from fico.util.progress import track
from fico.util.units import seconds_text

log = logging.getLogger(__name__)


class EncodingTimes(L.Callback):
    """Encodes growing numbers of copies of the tested split and records the seconds of each part of the work.

    Each size is encoded once to warm up and then in ``repeats`` of at least ``seconds`` each; a repeat is as many
    whole passes as that takes. A size whose predicted time does not fit into what is left of the budget is left out,
    and with it those above. Rows are collected as in a test, in temporary files where they take more than a GiB. Only
    a run of one process measures.

    Args:
        copies: How often the split is repeated, in growing order.
        repeats: Of each size.
        seconds: Least duration of a repeat.
        budget: Time for all sizes together, such as ``30m``; the first is always measured.
        context: The run's.

    Raises:
        UsageError: An argument is out of its range.
    """

    def __init__(
        self,
        context: RunContext,
        copies: Sequence[int] = (1, 10, 100, 1000),
        repeats: int = 3,
        seconds: float = 1.0,
        budget: str | float = "30m",
    ) -> None:
        if not copies or list(copies) != sorted(set(copies)) or any(type(c) is not int or c < 1 for c in copies):
            raise UsageError(f"callbacks.times.copies is {list(copies)}; give growing whole numbers from 1")
        if type(repeats) is not int or repeats < 1:
            raise UsageError(f"callbacks.times.repeats is {repeats!r}; give a whole number of at least 1")
        self._copies, self._repeats = tuple(copies), repeats
        self._seconds = seconds_of(seconds, "callbacks.times.seconds")
        self._budget = seconds_of(budget, "callbacks.times.budget")
        self._context = context

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            log.warning("encoding times are measured by one process alone; take trainer.devices=1")
            return
        rows, left = self._context.outputs.encoding, self._budget
        images = len(trainer.datamodule.evaluated_split(trainer).image_ids)
        for copies in self._copies:
            predicted = rows[-1]["wall_seconds"] * copies / rows[-1]["copies"] if rows else 0.0
            least = max(predicted, self._seconds) * self._repeats + predicted
            if rows and least > left:
                log.info(
                    "%s would take about %s: more than is left of the budget",
                    f"{images * copies:,} images",
                    seconds_text(least),
                )
                return
            if rows:
                log.info("encoding %s, about %s", f"{images * copies:,} images", seconds_text(least))
            begin = time.perf_counter()
            rows.append(self._measured(trainer, module, copies))
            left -= time.perf_counter() - begin

    def _measured(self, trainer: L.Trainer, module: L.LightningModule, copies: int) -> dict[str, Any]:
        """One row of ``efficiency.encoding`` in `results.json`."""
        split = trainer.datamodule.evaluated_split(trainer)
        counts = (len(split.image_ids) * copies, len(split.caption_ids) * copies)
        reset_peak_memory()
        self._pass(trainer, module, copies, counts)  # warm-up
        repeats = []
        for _ in range(self._repeats):
            passes: list[tuple[float, float, float, float]] = []
            while sum(each[0] for each in passes) < self._seconds:
                passes.append(self._pass(trainer, module, copies, counts))
            repeats.append([statistics.fmean(part) for part in zip(*passes, strict=True)])
        wall, network, loading, collecting = (statistics.median(part) for part in zip(*repeats, strict=True))
        networks = [repeat[1] for repeat in repeats]
        return {
            "copies": copies, "images": counts[0], "captions": counts[1], "repeats": self._repeats,
            "seconds": network, "fastest_seconds": min(networks), "slowest_seconds": max(networks),
            "loading_seconds": loading, "collecting_seconds": collecting, "wall_seconds": wall,
            "peak_memory_bytes": peak_memory(),
        }  # fmt: skip

    def _pass(
        self, trainer: L.Trainer, module: L.LightningModule, copies: int, counts: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        """Seconds of one pass: in all, of the network, of loading, of collecting."""
        collector = Collector(*counts, self._context.folder)
        begin = last = time.perf_counter()
        network = loading = collecting = 0.0
        batches = trainer.datamodule.copies_dataloader(copies)
        is_shown = not sys.stderr.isatty()  # a terminal has Lightning's bar already
        for index, batch in enumerate(
            track(batches, len(batches), f"encoding {counts[0]:,} images", is_shown=is_shown)
        ):
            moved = trainer.strategy.batch_to_device(batch)
            loaded = _now()
            with torch.inference_mode(), trainer.precision_plugin.test_step_context():
                encoded = module.test_step(moved, index)
            done = _now()
            collector.add(encoded)
            loading, network = loading + loaded - last, network + done - loaded
            last = time.perf_counter()
            collecting += last - done
        collector.finish()
        return time.perf_counter() - begin, network, loading, collecting


def _now() -> float:
    synchronize()
    return time.perf_counter()
