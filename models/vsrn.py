"""Training of VSRN."""

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.losses.captioning import CaptionLikelihood, caption_targets
from fico.losses.triplet import TripletHinge
from fico.networks.blocks.captioner import Captioner
from fico.networks.vsrn import VSRN
from fico.types import EncodedBatch, PairBatch
from models._base import OptimizerFactory, SchedulerFactory
from models._optim import with_epoch_schedule


class VSRNModule(L.LightningModule):
    """Trains VSRN (Li et al., ICCV 2019) and returns its embeddings.

    The loss is retrieval plus captioning, 1 : 1. The captioner is used in training only.

    Args:
        network: Image and text encoder.
        captioner: Its ``region_dim`` is the network's ``embed_dim``.
        loss: Retrieval loss over the batch's matrix of inner products.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule, stepped once per epoch; None keeps the rate constant.
        max_len: Longest caption for the captioner, in words with both markers; longer ones are cut.

    Differs:
        The original names the captioner's parameters twice in the optimizer, which doubles their update and
        their part of the clipped norm; here each counts once. It decodes ``max_len - 1`` steps for every
        batch; here decoding stops where the longest caption of the batch ends, which gives the same loss. It
        chooses the best epoch by R@1 + R@5 of both directions.
    """

    def __init__(
        self,
        network: VSRN,
        captioner: Captioner,
        loss: TripletHinge,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        max_len: int = 60,
    ) -> None:
        super().__init__()
        self.network = network
        self.captioner = captioner
        self.loss = loss
        self.caption_loss = CaptionLikelihood()
        self.max_len = max_len
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
        images, regions = self.network(batch.images)
        texts = self.network.encode_texts(batch.texts, batch.lengths)
        terms = {"retrieval": self.loss(images @ texts.T), "caption": self._caption_loss(regions, batch)}
        loss = terms["retrieval"] + terms["caption"]
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(images))
        return loss

    def _caption_loss(self, regions: Tensor, batch: PairBatch) -> Tensor:
        labels, mask = caption_targets(batch.texts, batch.lengths, self.max_len)
        steps = min(self.max_len, int(mask.sum(dim=1).max())) - 1
        logits = self.captioner(regions, labels[:, :steps])
        return self.caption_loss(logits, labels[:, 1 : steps + 1], mask[:, 1 : steps + 1])

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._make_optimizer(p for p in self.parameters() if p.requires_grad)
        return with_epoch_schedule(optimizer, self._make_scheduler)
