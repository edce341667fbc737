"""Training of dual encoders by contrast within the batch: CLIP, SigLIP, BEiT-3, heads on frozen towers."""

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.losses.image_text_contrast import ImageTextContrast
from fico.networks.beit3 import BEiT3
from fico.networks.dual_encoder import DualEncoder
from fico.networks.tower_heads import TowerHeads
from fico.types import EncodedBatch, PairBatch
from models._optim import NetworkOptimizer, StepScheduler, with_step_schedule


class DualEncoderModule(L.LightningModule):
    """Trains a dual encoder of transformers, BEiT-3 (Wang et al., CVPR 2023) or `TowerHeads`; returns unit vectors.

    Args:
        network: Both encoders.
        loss: Contrast within the batch, at the network's own temperature.
        optimizer: Builds the optimizer from the network.
        scheduler: Builds the learning-rate schedule, stepped once per step; None keeps the rate constant.

    Differs:
        The original BEiT-3 starts from a checkpoint tuned by contrast at 224 pixels and trains all epochs to the last;
        here the validation split chooses the best epoch.
    """

    def __init__(
        self,
        network: DualEncoder | BEiT3 | TowerHeads,
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
        encoded = self.encode(batch)
        loss: Tensor = self.loss(encoded.images, encoded.texts, self.network.logit_scale)
        levels = {
            "train/scale": self.network.logit_scale.exp(),
            "train/positive_similarity": (encoded.images * encoded.texts).sum(dim=1).mean(),
        }
        self.log("train/loss", loss, prog_bar=True, batch_size=len(encoded.images))
        self.log_dict(levels, batch_size=len(encoded.images))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return with_step_schedule(self, self._make_optimizer(self.network), self._make_scheduler)
