"""Training of UCCH."""

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking
from fico.networks.ucch import UCCH
from fico.types import EncodedBatch, PairBatch
from models._base import OptimizerFactory, SchedulerFactory
from models._optim import with_epoch_schedule


class UCCHModule(L.LightningModule):
    """Trains UCCH (Hu et al., TPAMI 2023) and returns its codes.

    The loss is ``alpha * contrast + (1 - alpha) * ranking``. No label is used.

    Args:
        network: Both multilayer perceptrons.
        contrast: Contrastive hashing loss with its memory bank of one row per training caption.
        ranking: Cross-modal ranking loss.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule, stepped once per epoch; None keeps the rate constant.
        alpha: Weight of the contrastive loss, in 0..1 (``beta`` in the paper).
        warmup_epochs: First epochs, whose keys come from the batch instead of the memory bank.

    Differs:
        The original chooses the best epoch by labels on the first 2,000 training rows; here the validation
        split chooses it.
    """

    def __init__(
        self,
        network: UCCH,
        contrast: ContrastiveHashing,
        ranking: CrossModalRanking,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        alpha: float = 0.9,
        warmup_epochs: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.contrast = contrast
        self.ranking = ranking
        self.alpha = alpha
        self.warmup_epochs = warmup_epochs
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
        warmup = self.current_epoch < self.warmup_epochs
        contrast = self.contrast(images, texts, batch.text_ids, warmup=warmup)
        ranking = self.ranking(images, texts)
        terms = {"contrast": contrast.image + contrast.text, "ranking": ranking.i2t + ranking.t2i}
        loss = self.alpha * terms["contrast"] + (1 - self.alpha) * terms["ranking"]
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(images))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._make_optimizer(p for p in self.parameters() if p.requires_grad)
        return with_epoch_schedule(optimizer, self._make_scheduler)
