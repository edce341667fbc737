"""Optimisers and learning-rate schedules for fine-tuning transformers."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

NetworkOptimizer = Callable[[nn.Module], Optimizer]
StepScheduler = Callable[..., LRScheduler]
"""Takes the optimiser, and by name ``steps``: optimiser steps of the whole training, and ``epochs``."""


@runtime_checkable
class Layered(Protocol):
    """A network that knows how deep each of its parameters lies."""

    def layers_above(self, name: str) -> int:
        """Layers between a parameter and the output: 0 at the top, more the nearer to the input."""
        ...


def layer_decay_groups(
    network: nn.Module, weight_decay: float, *, layer_decay: float = 1.0, spared: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Group the parameters that are trained by weight decay and depth.

    Args:
        network: Is `Layered` where ``layer_decay`` is not 1.
        weight_decay: Of all parameters but those of one axis or none (biases, norms, scales) and the spared ones.
        layer_decay: Factor of the learning rate for each layer above a parameter, 0..1.
        spared: Parts of the names of further parameters without weight decay.

    Returns:
        Groups for an optimiser; ``lr_scale`` is the factor of each one's learning rate.
    """
    groups: dict[tuple[bool, int], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        is_spared = parameter.ndim < 2 or any(part in name for part in spared)
        above = network.layers_above(name) if layer_decay != 1.0 and isinstance(network, Layered) else 0
        new = {
            "params": [],
            "weight_decay": 0.0 if is_spared else weight_decay,
            "lr_scale": layer_decay**above,
        }
        groups.setdefault((is_spared, above), new)["params"].append(parameter)
    return list(groups.values())


def adamw(
    network: nn.Module,
    lr: float,
    weight_decay: float = 0.01,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    layer_decay: float = 1.0,
    spared: Sequence[str] = (),
) -> Optimizer:
    """AdamW over `layer_decay_groups`, whose learning rates are ``lr * lr_scale``.

    Args:
        network: Gives the parameters.
        lr: Peak learning rate of the topmost layers.
        weight_decay: Decoupled from the gradient.
        betas: Of both moving averages.
        eps: Added to the root.
        layer_decay: Of `layer_decay_groups`.
        spared: Of `layer_decay_groups`.
    """
    groups = layer_decay_groups(network, weight_decay, layer_decay=layer_decay, spared=spared)
    for group in groups:
        group["lr"] = lr * group["lr_scale"]
    return AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=eps)


class _Warmup(LambdaLR):
    """Rises linearly to the peak, then falls as `_fall` says; stepped after every optimiser step.

    Args:
        optimizer: Its learning rates are the peaks.
        steps: Optimiser steps of the whole training.
        epochs: Epochs of the whole training.
        warmup: Steps of the rise; a number below 1 is a share of ``steps``.
        start: Learning rate of the first step, as a share of the peak.
        end: Learning rate after the last step, as a share of the peak.
        by_epoch: Fall only from epoch to epoch.
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
        rise = round(steps * warmup) if warmup < 1 else min(round(warmup), steps)
        epoch = max(1, steps // max(1, epochs))

        def factor(step: int) -> float:
            if step < rise:
                return start + (1 - start) * step / rise
            at = step // epoch * epoch if by_epoch else step
            first = 0 if by_epoch else rise
            return end + (1 - end) * self._fall(min(1.0, (at - first) / max(1, steps - first)))

        super().__init__(optimizer, factor)

    @staticmethod
    def _fall(done: float) -> float:
        raise NotImplementedError


class WarmupLinear(_Warmup):
    """Linear rise, linear fall."""

    @staticmethod
    def _fall(done: float) -> float:
        return 1 - done


class WarmupCosine(_Warmup):
    """Linear rise, then the falling half of a cosine."""

    @staticmethod
    def _fall(done: float) -> float:
        return (1 + math.cos(math.pi * done)) / 2


def optimisation(
    module: L.LightningModule, optimizer: Optimizer, scheduler: StepScheduler | None
) -> OptimizerLRScheduler:
    """What ``configure_optimizers`` returns: the schedule is stepped after every optimiser step.

    Args:
        module: Its trainer knows how many steps there will be; without one the rate stays constant.
        optimizer: Built.
        scheduler: Makes the schedule, such as a partial `WarmupLinear`; None for a constant rate.
    """
    trainer = module._trainer
    if scheduler is None or trainer is None:
        return optimizer
    steps = int(trainer.estimated_stepping_batches)
    made = scheduler(optimizer, steps=steps, epochs=trainer.max_epochs or 1)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "interval": "step"}}
