"""Logged values that are on the CPU stay as they are.

Lightning moves each value at every log and at the end of every loop, and copies its description with it: milliseconds
a value, also where all is on the CPU already. A run logs about a hundred values an evaluation.
"""

import functools
from typing import Any

import torch
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultMetric
from torchmetrics import Metric


def keep_on_cpu() -> None:
    """Let Lightning leave out the moves from the CPU to the CPU; once for the process."""
    move = _ResultMetric.to
    if hasattr(move, "__wrapped__"):
        return

    @functools.wraps(move)
    def to(self: Any, device: Any, **options: Any) -> Any:
        if torch.device(device).type == "cpu" and _is_on_cpu(vars(self)):
            return self
        return move(self, device, **options)

    _ResultMetric.to = to  # type: ignore[method-assign]


def _is_on_cpu(value: Any) -> bool:
    """Whether nothing in it is to be moved; a metric may hold anything."""
    if isinstance(value, dict):
        return all(map(_is_on_cpu, value.values()))
    if isinstance(value, torch.Tensor):
        return value.device.type == "cpu"
    return not isinstance(value, Metric)
