"""Fitting of linear CCA."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytorch_lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from fico.errors import UsageError
from fico.networks.cca import CCA, Regularisation
from fico.types import EncodedBatch, PairBatch


class CCAModule(L.LightningModule):
    """Fits linear CCA and returns its unit vectors: the classic baseline.

    A step adds its batch to the sums of the epoch and solves for the directions in closed form, so one epoch is a
    whole training. With a grid each epoch solves with the next of its settings, from the sums of the first epoch, and
    the one that is best on the validation split is kept, as of any other model. The loss is one minus the mean cosine
    of the pairs, before the step.

    Args:
        network: The linear maps.
        grid: Values to try of each field of `Regularisation`; every combination takes one epoch. None: the network's.

    Raises:
        UsageError: The grid names another field, or more dimensions than the network has.
    """

    def __init__(self, network: CCA, grid: Mapping[str, Sequence[float]] | None = None) -> None:
        super().__init__()
        self.network = network
        self._settings = _combinations(network, grid or {})
        self._has_sums = False  # an epoch with another of several settings solves from the sums of the first

    def setup(self, stage: str) -> None:
        if stage == "fit" and (self.trainer.max_epochs or 0) > len(self._settings) > 1:
            raise UsageError(
                f"model.epochs is {self.trainer.max_epochs}, but model.module.grid has {len(self._settings)} "
                f"combinations, one an epoch; set model.epochs={len(self._settings)}"
            )
        if stage == "fit" and self.trainer.world_size > 1:
            raise UsageError(
                f"CCA is fitted in one process, but there are {self.trainer.world_size}; set trainer.devices=1"
            )

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """Unit vectors of both sides."""
        return EncodedBatch(
            images=self.network.encode_images(batch.images),
            image_ids=batch.image_ids,
            texts=self.network.encode_texts(batch.texts),
            text_ids=batch.text_ids,
        )

    def on_train_epoch_start(self) -> None:
        if len(self._settings) == 1:
            self.network.reset()
        self.network.regularisation = self._settings[self.current_epoch % len(self._settings)]

    def on_train_epoch_end(self) -> None:
        self._has_sums = len(self._settings) > 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["regularisation"] = asdict(self.network.regularisation)

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        images, texts = self.network(batch.images, batch.texts)
        loss = 1 - (images * texts).sum(dim=1).mean()
        if not self._has_sums:
            self.network.update(batch.images, batch.texts)
        correlations = self.network.correlations
        terms = {"first_correlation": correlations[0], "mean_correlation": correlations.mean()}
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        if len(self._settings) > 1:
            terms |= {name: torch.tensor(float(value)) for name, value in asdict(self.network.regularisation).items()}
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(images))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> Optimizer:
        return ClosedForm(self.network)


class ClosedForm(Optimizer):
    """Sets the parameters to the solution of all pairs observed; gradients are not used.

    Args:
        network: The network whose parameters are solved for.
    """

    def __init__(self, network: CCA) -> None:
        super().__init__(network.parameters(), {})
        self._network = network

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; the closure, which observes the batch, comes first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._network.solve()
        return loss


def _combinations(network: CCA, grid: Mapping[str, Sequence[float]]) -> list[Regularisation]:
    """The network's regularisation with every combination of the grid's values."""
    plain = asdict(network.regularisation)
    if unknown := [name for name in grid if name not in plain]:
        raise UsageError(f"model.module.grid names {', '.join(unknown)}; it takes {', '.join(plain)}")
    settings = [
        Regularisation(**plain | {name: type(plain[name])(value) for name, value in zip(grid, values, strict=True)})
        for values in product(*grid.values())
    ]
    if not settings or not all(1 <= setting.dims <= network.wanted_dims for setting in settings):
        raise UsageError(
            f"model.module.grid needs values of each field, and dims in 1..{network.wanted_dims}, those of the "
            f"network; got {dict(grid)}"
        )
    return [replace(setting, dims=min(setting.dims, network.dims)) for setting in settings]
