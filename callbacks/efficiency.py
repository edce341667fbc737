"""Time, memory and arithmetic of encoding."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from fico.run_context import RunContext
from fico.types import EncodedBatch
from fico.util.resources import peak_resident_memory

log = logging.getLogger(__name__)
_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_PEAK_RESET = Path("/proc/self/clear_refs")  # psutil cannot reset the peak of the resident set on Linux


class Efficiency(L.Callback):
    """Measures the test epoch: wall-clock and processor time of the forward passes, of the epoch, peak memory, FLOPs.

    It must come before the callbacks that do work at the end of a batch: Lightning calls them in order, and their
    time would count as the network's. Peak memory is the GPU's where there is one, else the process's from the start
    of the test epoch. FLOPs are those of matrix products, convolutions and attention, two for a multiplication and an
    addition, counted in a second pass of the last batch, which a run that goes on encodes too and no time contains.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._outputs = context.outputs
        self._epoch_started = self._batch_started = self._batch_cpu = 0.0
        self._last: tuple[Any, EncodedBatch] | None = None  # batch of the epoch, as it came and encoded
        self._before = 0.0  # seconds of the network before this process, where a killed run goes on

    def on_test_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        shards = self._outputs.shards
        self._before = self._outputs.encode_seconds = 0.0 if shards is None else shards.seconds
        self._outputs.encode_cpu_seconds = None if self._before or torch.cuda.is_initialized() else 0.0
        reset_peak_memory()
        self._epoch_started = time.perf_counter()

    def on_test_batch_start(self, *_: Any) -> None:
        synchronize()
        self._batch_started, self._batch_cpu = time.perf_counter(), time.process_time()

    def on_test_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        synchronize()
        seconds = time.perf_counter() - self._batch_started
        self._outputs.encode_seconds = (self._outputs.encode_seconds or 0.0) + seconds
        if self._outputs.encode_cpu_seconds is not None:
            self._outputs.encode_cpu_seconds += time.process_time() - self._batch_cpu
        self._last = batch, outputs

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._outputs.encode_wall_seconds = self._before + time.perf_counter() - self._epoch_started
        self._outputs.peak_memory_bytes = peak_memory()
        self._outputs.peak_process_memory_bytes = peak_resident_memory() if torch.cuda.is_initialized() else None
        if self._last is not None:
            (batch, encoded), self._last = self._last, None
            flops = _flops(trainer, module, batch)
            items = 0 if flops is None else len(encoded.images) + len(encoded.texts)
            self._outputs.flops_per_item = None if flops is None else flops / items


def synchronize() -> None:
    """Wait for the GPU, where one is used."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _flops(trainer: L.Trainer, module: L.LightningModule, batch: Any) -> int | None:
    """None where an operation cannot be counted, which must not cost the run."""
    try:
        with (
            _without_gradients(module),
            _in_countable_steps(),
            trainer.precision_plugin.test_step_context(),
            FlopCounterMode(display=False, custom_mapping={_CPU_ATTENTION: _attention_flops}) as counter,
        ):
            module.test_step(batch, 0)
    except Exception as error:
        log.debug("FLOPs are not counted", exc_info=error)
        return None
    return counter.get_total_flops()


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Of the shapes; PyTorch counts the kernels of a GPU alone."""
    return int(sdpa_flop_count(query, key, value))


@contextmanager
def _in_countable_steps() -> Iterator[None]:
    """Layers compute step by step: cuDNN's recurrent ones and PyTorch's fused transformer layers count as nothing."""
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


@contextmanager
def _without_gradients(module: L.LightningModule) -> Iterator[None]:
    """No parameter has gradients: the counter follows those of what layers are handed, and a test has none."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def reset_peak_memory() -> None:
    """Forget the peak of earlier work, of earlier jobs of a sweep too."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    if _PEAK_RESET.exists():
        _PEAK_RESET.write_text("5")  # Linux: resets the high-water mark of the resident set


def peak_memory() -> int:
    """Most bytes in use since `reset_peak_memory`: of the GPU where one is used, else of the process."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return peak_resident_memory()
