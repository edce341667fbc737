"""Training of models that score a pair by attention between regions and words: SCAN and IMRAM."""

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.losses.triplet import TripletHinge
from fico.networks.blocks.region_words import refuse_empty_captions
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.protocols import PackedScorer
from fico.types import EncodedBatch, PairBatch
from models._base import OptimizerFactory, SchedulerFactory
from models._optim import with_epoch_schedule


class PairScorerModule(L.LightningModule):
    """Trains SCAN (Lee et al., ECCV 2018) or IMRAM (Chen et al., CVPR 2020); encodes one vector per region and word.

    Args:
        network: The pair scorer.
        loss: Retrieval loss over the batch's score matrix.
        optimizer: Builds the optimizer from the trainable parameters.
        scheduler: Builds the learning-rate schedule, stepped once per epoch; None keeps the rate constant.

    Raises:
        DataError: While encoding: a caption has no word; its row is named.

    Differs:
        Both originals choose the best epoch by the sum of all six recalls.
    """

    def __init__(
        self,
        network: SCAN | IMRAM,
        loss: TripletHinge,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """One vector per region and per word."""
        refuse_empty_captions(batch.lengths, batch.text_ids)
        return EncodedBatch(
            images=self.network.encode_images(batch.images),
            image_ids=batch.image_ids,
            texts=self.network.encode_texts(batch.texts, batch.lengths),
            text_ids=batch.text_ids,
            text_lengths=batch.lengths,
        )

    def score(self, images: Tensor, texts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score every image with every caption, from the vectors of `encode`."""
        return self.network.score(images, texts, lengths)

    def score_lists(self, images: Tensor, texts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score each image with the captions of its own list, ``images captions``."""
        return self.network.score_lists(images, texts, lengths)

    @property
    def takes_packed(self) -> bool:
        """Whether the network has `score_packed` for its options."""
        return isinstance(self.network, PackedScorer) and self.network.takes_packed

    def score_packed(self, images: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
        """Score each image with the captions whose words are packed in its row; of a network that has it."""
        return self.network.score_packed(images, words, lengths)

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        encoded = self.encode(batch)
        scores = self.score(encoded.images, encoded.texts, encoded.text_lengths)
        loss = self.loss(scores)
        scores = scores.detach()
        levels = {"train/positive_score": scores.diagonal().mean(), "train/mean_score": scores.mean()}
        self.log("train/loss", loss, prog_bar=True, batch_size=len(scores))
        self.log_dict(levels, batch_size=len(scores))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._make_optimizer(p for p in self.parameters() if p.requires_grad)
        return with_epoch_schedule(optimizer, self._make_scheduler)
