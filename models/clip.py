"""Training of CLIP, SigLIP and other dual encoders."""

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.losses.image_text_contrast import ImageTextContrast
from fico.networks.dual_encoder import DualEncoder
from fico.types import EncodedBatch, PairBatch
from models._optim import NetworkOptimizer, StepScheduler, optimisation


class DualEncoderModule(L.LightningModule):
    """Trains a dual encoder of transformers by contrast and hands out its embeddings.

    Args:
        network: Both encoders.
        loss: Contrast within the batch, at the network's own temperature.
        optimizer: Makes the optimiser from the network.
        scheduler: Makes the learning-rate schedule, stepped once per step; constant when not given.
    """

    def __init__(
        self,
        network: DualEncoder,
        loss: ImageTextContrast,
        optimizer: NetworkOptimizer,
        scheduler: StepScheduler | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """Unit vectors of both sides."""
        return EncodedBatch(
            images=self.network.encode_images(batch.images),
            image_ids=batch.image_ids,
            texts=self.network.encode_texts(batch.texts, batch.lengths),
            text_ids=batch.text_ids,
        )

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        both = self.encode(batch)
        loss: Tensor = self.loss(both.images, both.texts, self.network.logit_scale)
        watched = {
            "train/scale": self.network.logit_scale.exp(),
            "train/own_similarity": (both.images * both.texts).sum(dim=1).mean(),
        }
        self.log("train/loss", loss, prog_bar=True, batch_size=len(both.images))
        self.log_dict(watched, batch_size=len(both.images))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return optimisation(self, self._make_optimizer(self.network), self._make_scheduler)
