"""Times of encoding the tested split several times over: the sizes of Table 5."""

import logging
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytorch_lightning as L
import torch

from callbacks.budget import Budget, counted, growing
from callbacks.efficiency import peak_memory, reset_peak_memory, synchronize
from fico.embeddings.collect import IN_MEMORY_BYTES, Collector
from fico.run_context import RunContext
from fico.util.compute.energy import EnergyMeter
from fico.util.duration import seconds_of
from fico.util.progress import track

log = logging.getLogger(__name__)


class EncodingTimes(L.Callback):
    """Encodes growing numbers of copies of the tested split and records the seconds of each part of the work.

    One pass of the first size warms up. Every size is then encoded in ``repeats`` of at least ``seconds`` each; a
    repeat is as many whole passes as that takes. A size has fewer repeats where the budget is too short for all. One
    for which it is too short at all is left out, and with it those above; so is one whose rows do not fit into memory
    or onto the disk. Rows are collected as in a test, in temporary files where they take more than a GiB. Only a run of
    one process measures.

    Args:
        copies: How often the split is repeated, in growing order.
        repeats: Of each size, at most.
        seconds: Least duration of a repeat.
        budget: Time for all sizes together, such as ``30m``.
        always: How many of the first sizes are measured whatever time they take: one alone says nothing of growth.
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
        always: int = 1,
    ) -> None:
        self._copies = growing(copies, "callbacks.times.copies")
        self._repeats = counted(repeats, "callbacks.times.repeats")
        self._always = counted(always, "callbacks.times.always")
        self._seconds = seconds_of(seconds, "callbacks.times.seconds")
        self._budget = seconds_of(budget, "callbacks.times.budget")
        self._context = context

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            log.warning("encoding times are measured by one process alone; take trainer.devices=1")
            return
        images = len(trainer.datamodule.evaluated_split(trainer).image_ids)
        budget = Budget(self._budget, self._context.folder)
        with budget.passing():
            warm_up = self._pass(trainer, module, self._copies[0], EnergyMeter())
        row_bytes, wall = warm_up.row_bytes / self._copies[0], warm_up.wall / self._copies[0]
        for size, copies in enumerate(self._copies):
            seconds = max(wall * copies, self._seconds)
            repeats = max(1, min(self._repeats, int(budget.left / seconds)))
            kept = {"disk" if row_bytes * copies > IN_MEMORY_BYTES else "memory": row_bytes * copies}
            what = f"encoding {images * copies:,} images"
            if not budget.allows(what, repeats * seconds, **kept, is_timed=size >= self._always):
                return
            with budget.passing():
                row = self._measured(trainer, module, copies, repeats)
            wall = row["wall_seconds"] / copies
            self._context.outputs.encoding.append(row)

    def _measured(self, trainer: L.Trainer, module: L.LightningModule, copies: int, repeats: int) -> dict[str, Any]:
        """One row of ``efficiency.encoding`` in `results.json`."""
        reset_peak_memory()
        means: list[_Pass] = []
        joules: list[float] = []  # of a pass
        for _ in range(repeats):
            passes: list[_Pass] = []
            meter = EnergyMeter()
            while sum(each.wall for each in passes) < self._seconds:
                passes.append(self._pass(trainer, module, copies, meter))
            means.append(_Pass(*map(statistics.fmean, zip(*passes, strict=True))))
            if (energy := meter.read()) is not None:
                joules.append(energy / len(passes))
        median = _Pass(*map(statistics.median, zip(*means, strict=True)))
        networks = [each.network for each in means]
        split = trainer.datamodule.evaluated_split(trainer)
        return {
            "copies": copies, "images": len(split.image_ids) * copies, "captions": len(split.caption_ids) * copies,
            "repeats": repeats, "seconds": median.network, "fastest_seconds": min(networks),
            "slowest_seconds": max(networks), "loading_seconds": median.loading,
            "collecting_seconds": median.collecting, "wall_seconds": median.wall,
            "energy_joules": statistics.median(joules) if len(joules) == repeats else None,
            "peak_memory_bytes": peak_memory(),
        }  # fmt: skip

    def _pass(self, trainer: L.Trainer, module: L.LightningModule, copies: int, meter: EnergyMeter) -> "_Pass":
        split = trainer.datamodule.evaluated_split(trainer)
        images, captions = len(split.image_ids) * copies, len(split.caption_ids) * copies
        collector = Collector(images, captions, self._context.folder)
        begin = last = time.perf_counter()
        network = loading = collecting = 0.0
        batches = trainer.datamodule.copies_dataloader(copies)
        is_shown = not sys.stderr.isatty()  # a terminal has Lightning's bar already
        for index, batch in enumerate(track(batches, len(batches), f"encoding {images:,} images", is_shown=is_shown)):
            moved = trainer.strategy.batch_to_device(batch)
            loaded = _now()
            with torch.inference_mode(), trainer.precision_plugin.test_step_context():
                encoded = module.test_step(moved, index)
            done = _now()
            collector.add(encoded if self._context.rerank else replace(encoded, image_states=None, text_states=None))
            loading, network = loading + loaded - last, network + done - loaded
            collecting += time.perf_counter() - done
            meter.read()
            last = time.perf_counter()
        row_bytes = collector.finish().nbytes
        return _Pass(time.perf_counter() - begin, network, loading, collecting, row_bytes)


class _Pass(NamedTuple):
    """Seconds in all, of the network, of loading and of collecting; bytes of the rows."""

    wall: float
    network: float
    loading: float
    collecting: float
    row_bytes: float


def _now() -> float:
    synchronize()
    return time.perf_counter()
