"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from models._base import SchedulerFactory

NetworkOptimizer = Callable[[nn.Module], Optimizer]
StepScheduler = Callable[..., LRScheduler]
"""Takes the optimizer, and by name ``steps`` (optimizer steps of the whole training) and ``epochs``."""


@runtime_checkable
class Layered(Protocol):
    """A network that knows the depth of each of its parameters."""

    def layers_above(self, name: str) -> int:
        """Number of layers between a parameter and the output; 0 at the top."""
        ...


def layer_decay_groups(
    network: nn.Module, weight_decay: float, *, layer_decay: float = 1.0, no_decay: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Group the trainable parameters by weight decay and by depth, for layer-wise learning-rate decay.

    Args:
        network: Is `Layered` where ``layer_decay`` is not 1.
        weight_decay: Of all parameters but ``no_decay`` and those of one axis or none (biases, norms, scales).
        layer_decay: Factor of the learning rate for each layer above a parameter, 0..1.
        no_decay: Substrings of the names of further parameters without weight decay.

    Returns:
        Groups for an optimizer; ``lr_scale`` is the factor of each one's learning rate.
    """
    groups: dict[tuple[bool, int], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        is_exempt = parameter.ndim < 2 or any(part in name for part in no_decay)
        above = network.layers_above(name) if layer_decay != 1.0 and isinstance(network, Layered) else 0
        new = {
            "params": [],
            "weight_decay": 0.0 if is_exempt else weight_decay,
            "lr_scale": layer_decay**above,
        }
        groups.setdefault((is_exempt, above), new)["params"].append(parameter)
    return list(groups.values())


def adamw(
    network: nn.Module,
    lr: float,
    weight_decay: float = 0.01,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    layer_decay: float = 1.0,
    no_decay: Sequence[str] = (),
) -> Optimizer:
    """AdamW over `layer_decay_groups`, whose learning rates are ``lr * lr_scale``.

    Args:
        network: Its trainable parameters are optimized.
        lr: Peak learning rate of the topmost layers.
        weight_decay: Decoupled from the gradient.
        betas: Decay rates of both moving averages.
        eps: Added to the denominator.
        layer_decay: As in `layer_decay_groups`.
        no_decay: As in `layer_decay_groups`.
    """
    groups = layer_decay_groups(network, weight_decay, layer_decay=layer_decay, no_decay=no_decay)
    for group in groups:
        group["lr"] = lr * group["lr_scale"]
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=eps)


class _Warmup(LambdaLR):
    """Linear warm-up to the peak, then decay along `_decay`; stepped after every optimizer step.

    Args:
        optimizer: Its learning rates are the peaks.
        steps: Optimizer steps of the whole training.
        epochs: Epochs of the whole training.
        warmup: Steps of the warm-up; a number below 1 is a fraction of ``steps``.
        start: Learning rate of the first step, as a fraction of the peak.
        end: Learning rate after the last step, as a fraction of the peak.
        by_epoch: Decay once per epoch instead of every step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        epochs: int = 1,
        warmup: float = 0.1,
        start: float = 0.0,
        end: float = 0.0,
        by_epoch: bool = False,
    ) -> None:
        warm = round(steps * warmup) if warmup < 1 else min(round(warmup), steps)
        epoch = max(1, steps // max(1, epochs))

        def factor(step: int) -> float:
            if step < warm:
                return start + (1 - start) * step / warm
            at = step // epoch * epoch if by_epoch else step
            begin = 0 if by_epoch else warm
            return end + (1 - end) * self._decay(min(1.0, (at - begin) / max(1, steps - begin)))

        super().__init__(optimizer, factor)

    @staticmethod
    def _decay(done: float) -> float:
        raise NotImplementedError


class WarmupLinear(_Warmup):
    """Linear warm-up, linear decay."""

    @staticmethod
    def _decay(done: float) -> float:
        return 1 - done


class WarmupCosine(_Warmup):
    """Linear warm-up, half-cosine decay."""

    @staticmethod
    def _decay(done: float) -> float:
        return (1 + math.cos(math.pi * done)) / 2


def with_step_schedule(
    module: L.LightningModule, optimizer: Optimizer, scheduler: StepScheduler | None
) -> OptimizerLRScheduler:
    """What ``configure_optimizers`` returns for a schedule that is stepped after every optimizer step.

    Args:
        module: Its trainer knows the number of steps; without a trainer the rate stays constant.
        optimizer: The built optimizer.
        scheduler: Builds the schedule, such as a partial `WarmupLinear`; None for a constant rate.
    """
    trainer = module._trainer
    if scheduler is None or trainer is None:
        return optimizer
    steps = int(trainer.estimated_stepping_batches)
    schedule = scheduler(optimizer, steps=steps, epochs=trainer.max_epochs or 1)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def with_epoch_schedule(optimizer: Optimizer, scheduler: SchedulerFactory | None) -> OptimizerLRScheduler:
    """What ``configure_optimizers`` returns for a schedule that is stepped after every epoch; None: a constant rate."""
    if scheduler is None:
        return optimizer
    return {"optimizer": optimizer, "lr_scheduler": scheduler(optimizer)}
