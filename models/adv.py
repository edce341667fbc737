"""Training of ADV."""

from dataclasses import dataclass

import pytorch_lightning as L
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F

from fico.losses.angular import Angular
from fico.losses.caption_variants import Adversary, Rephrase
from fico.losses.triplet import TripletHinge
from fico.losses.weight_norms import weight_norms
from fico.losses.word_exchange import WordExchange
from fico.networks.adv import ADV
from fico.networks.blocks.balanced import ConceptHead
from fico.types import EncodedBatch, PairBatch
from models._base import OptimizerFactory, SchedulerFactory
from models._optim import with_epoch_schedule

ANGULAR_DECAY_EPOCHS = 5  # the angular weight falls to a tenth after this many
LAST_ANGULAR_EPOCH = 20


@dataclass(slots=True)
class VariantBatch(PairBatch):
    """A training batch whose data set also holds variants of its captions.

    Args:
        rephrased: ``texts variants ...``: paraphrases of each caption.
        falsified: ``texts variants ...``: captions with a word exchanged, no longer true of the image.
    """

    rephrased: Tensor | None = None
    falsified: Tensor | None = None


class ADVModule(L.LightningModule):
    """Trains ADV (Li, Mu et al., ICME 2021) and returns its codes.

    The loss is ``triplets + w angular + 0.5 (rephrase + adversary + concept) + 0.01 weight norms`` with ``w`` 0.5 in
    the first five epochs, a tenth of that in the next five, and so on, and 0 after epoch 20.

    Args:
        network: Image and text side.
        triplet: Triplet loss over the batch's cosine matrix.
        optimizer: Builds the optimizer from the trainable parameters.
        adversary: Loss over falsified captions, where there are any.
        concept: Classifies the text codes by the batch's labels; off without labels, or where ``classes`` is 0.
        exchange: Falsifies captions of word ids where the batch has no falsified ones; off where ``variants`` is 0.
        scheduler: Builds the learning-rate schedule, stepped once per epoch; None keeps the rate constant.
        angular_weight: ``w`` in the first epochs.
        variant_weight: Weight of rephrase, adversary and concept each.
        first_variant_epoch: First epoch with those three terms.
        norm_weight: Weight of the image encoder's weight norms.

    Differs:
        Concepts are the categories of the data set; the original adds over a thousand words and phrases from captions.
        Its rephrased captions come from machine translation; here they are used where a `VariantBatch` holds them.
        The original configures gradient clipping at 2 that never acts; here there is none. It chooses the best epoch
        by recall on the test split; here the validation split chooses it.
    """

    def __init__(
        self,
        network: ADV,
        triplet: TripletHinge,
        optimizer: OptimizerFactory,
        adversary: Adversary | None = None,
        concept: ConceptHead | None = None,
        exchange: WordExchange | None = None,
        scheduler: SchedulerFactory | None = None,
        angular_weight: float = 0.5,
        variant_weight: float = 0.5,
        first_variant_epoch: int = 0,
        norm_weight: float = 0.01,
    ) -> None:
        super().__init__()
        self.network = network
        self.triplet = triplet
        self.angular = Angular()
        self.rephrase = Rephrase()
        self.adversary = adversary
        self.concept = concept if concept is not None and concept.classes else None
        self.exchange = exchange if exchange is not None and exchange.variants else None
        self.angular_weight = angular_weight
        self.variant_weight = variant_weight
        self.first_variant_epoch = first_variant_epoch
        self.norm_weight = norm_weight
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
        terms = {"triplet": self.triplet(F.normalize(images) @ F.normalize(texts).T)}
        angular, angular_weight = self.angular(images, texts), self._angular_weight()
        terms["angular"] = angular.i2t + angular.t2i
        terms["norms"] = self.norm_weight * weight_norms(self.network.img_enc)
        variants = self._variant_terms(batch, images, texts)
        loss = terms["triplet"] + angular_weight * terms["angular"] + terms["norms"]
        loss = loss + self.variant_weight * sum(variants.values())
        terms |= variants
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(images))
        return loss

    def _angular_weight(self) -> float:
        epoch = self.current_epoch
        return self.angular_weight * 0.1 ** (epoch // ANGULAR_DECAY_EPOCHS) if epoch <= LAST_ANGULAR_EPOCH else 0.0

    def _variant_terms(self, batch: PairBatch, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.current_epoch < self.first_variant_epoch:
            return terms
        rephrased, falsified = _variants(batch)
        if falsified is None and self.exchange is not None:
            falsified = self.exchange(batch.texts)
        if rephrased is not None:
            terms["rephrase"] = self.rephrase(images, self._encode_variants(rephrased))
        if falsified is not None and self.adversary is not None:
            terms["adversary"] = self.adversary(images, texts, self._encode_variants(falsified))
        if self.concept is not None and batch.labels is not None:
            terms["concept"] = F.binary_cross_entropy(self.concept(texts), batch.labels.to(texts.dtype))
        return terms

    def _encode_variants(self, texts: Tensor) -> Tensor:
        codes: Tensor = self.network.txt_enc(texts.flatten(0, 1))
        return codes.unflatten(0, texts.shape[:2])

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._make_optimizer(p for p in self.parameters() if p.requires_grad)
        return with_epoch_schedule(optimizer, self._make_scheduler)


def _variants(batch: PairBatch) -> tuple[Tensor | None, Tensor | None]:
    return (batch.rephrased, batch.falsified) if isinstance(batch, VariantBatch) else (None, None)
