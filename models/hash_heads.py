"""Training of linear hash heads on frozen embeddings or features."""

from collections.abc import Callable

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.networks.hash_heads import HashHeads
from fico.types import EncodedBatch, PairBatch
from models._optim import NetworkOptimizer, StepScheduler, with_step_schedule

HashLoss = Callable[[Tensor, Tensor, PairBatch], dict[str, Tensor]]
"""Takes the continuous codes of both sides and the batch; the sum of the terms is the loss."""


class HashHeadsModule(L.LightningModule):
    """Trains `HashHeads` and returns their codes.

    Args:
        network: Both heads.
        loss: Such as `fico.losses.hashing.hash_loss.hash_loss` builds; its parameters are trained too.
        optimizer: Builds the optimizer from this module.
        scheduler: Builds the learning-rate schedule, stepped once per step; None keeps the rate constant.
    """

    def __init__(
        self,
        network: HashHeads,
        loss: HashLoss,
        optimizer: NetworkOptimizer,
        scheduler: StepScheduler | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """Codes of +1 and -1 for both sides."""
        return EncodedBatch(
            images=self.network.encode_images(batch.images),
            image_ids=batch.image_ids,
            texts=self.network.encode_texts(batch.texts),
            text_ids=batch.text_ids,
        )

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        images, texts = self.network(batch.images, batch.texts)
        terms = self.loss(images, texts, batch)
        loss = sum(terms.values(), start=images.new_zeros(()))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(images))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return with_step_schedule(self, self._make_optimizer(self), self._make_scheduler)
