"""Training of MITH."""

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.errors import UsageError
from fico.losses.hashing.multi_granularity import MultiGranularity
from fico.networks.mith import MITH
from fico.types import EncodedBatch, PairBatch
from models._optim import NetworkOptimizer, StepScheduler, with_step_schedule


class MITHModule(L.LightningModule):
    """Trains MITH (Liu et al., ACM MM 2023) and returns its codes. Supervised.

    Args:
        network: Both branches of both sides.
        loss: With its memory of one row per training caption.
        optimizer: Builds the optimizer from this module.
        scheduler: Builds the learning-rate schedule, stepped once per step; None keeps the rate constant.

    Differs:
        The original chooses the best epoch by mAP on the test queries; here the validation split chooses it. One
        process trains, as each step writes one shared memory.
    """

    def __init__(
        self,
        network: MITH,
        loss: MultiGranularity,
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
            texts=self.network.encode_texts(batch.texts, batch.lengths),
            text_ids=batch.text_ids,
        )

    def on_fit_start(self) -> None:
        if self.trainer.world_size > 1:
            raise UsageError(
                f"MITH trains in one process, but there are {self.trainer.world_size}; set trainer.devices=1"
            )

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        images, texts = self.network(batch.images, batch.texts, batch.lengths)
        terms = self.loss(images, texts, batch)
        loss = sum(terms.values(), start=images.vectors.new_zeros(()))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.texts))
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(batch.texts))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return with_step_schedule(self, self._make_optimizer(self), self._make_scheduler)
