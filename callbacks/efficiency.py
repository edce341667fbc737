"""Time and memory of encoding."""

import resource
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import torch

_PROC = Path("/proc/self")  # psutil can neither read nor reset the peak of the resident set on Linux


class Efficiency(L.Callback):
    """Measures the encoding of the test split: seconds of the forward passes and peak memory.

    Attributes:
        encode_seconds: From the start to the end of each test batch, summed; loading the data is left out.
        peak_memory_bytes: Of the GPU where there is one, else of this process from the start of the test epoch.
    """

    def __init__(self) -> None:
        self.encode_seconds = 0.0
        self.peak_memory_bytes = 0

    def on_test_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.encode_seconds = 0.0
        _reset_peak()

    def on_test_batch_start(self, *_: Any) -> None:
        _synchronize()
        self._started = time.perf_counter()

    def on_test_batch_end(self, *_: Any) -> None:
        _synchronize()
        self.encode_seconds += time.perf_counter() - self._started
        self.peak_memory_bytes = _peak()


def _synchronize() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _reset_peak() -> None:
    """Forget the peak of earlier work, of earlier jobs of a sweep too."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    elif (_PROC / "clear_refs").exists():
        (_PROC / "clear_refs").write_text("5")  # Linux: resets the high-water mark of the resident set


def _peak() -> int:
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    if (_PROC / "status").exists():
        lines = (_PROC / "status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
