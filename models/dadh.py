"""Training of DADH."""

import pytorch_lightning as L
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from fico.errors import DataError, UsageError
from fico.losses.adversarial import discriminator_terms, generator_loss
from fico.losses.discrete_codes import DiscreteCodes
from fico.losses.label_triplet import LabelTriplet
from fico.networks.dadh import DADH, DADHDiscriminators, HashedPairs
from fico.types import EncodedBatch, PairBatch
from models._base import OptimizerFactory, SchedulerFactory


class DADHModule(L.LightningModule):
    """Trains DADH (Bai et al., ICMR 2020) and returns its codes.

    Each step trains the feature discriminator, then the code discriminator, then the generator with
    ``alpha * triplets + beta * quantisation + gamma * adversarial``; each epoch ends with the discrete codes and the
    learning rate. Supervised: triplets and codes are made from the labels.

    Args:
        network: The generator.
        discriminators: Of the same ``bits`` and ``hidden_dim``.
        triplet: Used in both directions.
        codes: The discrete codes, one row per training pair.
        optimizer: Builds the generator's optimizer.
        discriminator_optimizer: Builds each discriminator's optimizer.
        scheduler: Builds the generator's learning-rate schedule, stepped once per epoch; None keeps the rate constant.
        alpha: Weight of the triplets.
        beta: Weight of the quantisation; 1.1 is the published 1 with the 0.1 that the code adds before it starts.
        gamma: Weight of the adversarial terms.

    Differs:
        The original keeps its generator's rate above 1e-6, which the published settings never reach. It chooses the
        best epoch by mAP on the test queries; here the validation split chooses it. One process trains: each step
        updates three optimizers and one shared code matrix.
    """

    def __init__(
        self,
        network: DADH,
        discriminators: DADHDiscriminators,
        triplet: LabelTriplet,
        codes: DiscreteCodes,
        optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        alpha: float = 10.0,
        beta: float = 1.1,
        gamma: float = 1.0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.discriminators = discriminators
        self.triplet = triplet
        self.codes = codes
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self._make_optimizer = optimizer
        self._make_discriminator_optimizer = discriminator_optimizer
        self._make_scheduler = scheduler

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """Codes of +1 and -1 for both sides."""
        return EncodedBatch(
            images=self.network.encode_images(batch.images),
            image_ids=batch.image_ids,
            texts=self.network.encode_texts(batch.texts),
            text_ids=batch.text_ids,
        )

    def on_fit_start(self) -> None:
        if self.trainer.world_size > 1:
            raise UsageError(
                f"DADH trains in one process, but there are {self.trainer.world_size}; set trainer.devices=1"
            )

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        labels = _labels(batch)
        made = self.network(batch.images, batch.texts)
        self.codes.record(batch.text_ids, made.image_codes, made.text_codes, labels)
        second = self.network.detached_text_codes(batch.texts)  # here, as the batch normalisation counts passes
        generator, *others = self.optimizers()
        dis = self.discriminators
        sides = (
            ("feature", dis.feature_dis, made.image_features, made.text_features),
            ("hash", dis.hash_dis, made.image_codes, made.text_codes),
        )
        terms = {}
        for optimizer, (name, discriminator, images, texts) in zip(others, sides, strict=True):
            terms |= self._train_discriminator(optimizer, name, discriminator, images, texts)
        terms |= self._generator_terms(batch, made, second, labels)
        loss = (
            self.alpha * (terms["triplet_i2t"] + terms["triplet_t2i"])
            + self.beta * (terms["quantisation_image"] + terms["quantisation_text"])
            + self.gamma * (terms["misleading_feature"] + terms["misleading_hash"])
        )
        generator.zero_grad()
        self.manual_backward(loss)
        generator.step()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(labels))
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()}, batch_size=len(labels))
        return loss.detach()

    def _train_discriminator(
        self,
        optimizer: LightningOptimizer,
        name: str,
        discriminator: nn.Module,
        images: Tensor,
        texts: Tensor,
    ) -> dict[str, Tensor]:
        terms = discriminator_terms(discriminator, images, texts, self.draw(images), weight=self.gamma)
        optimizer.zero_grad()
        self.manual_backward(terms.real + terms.fake + terms.penalty)
        optimizer.step()
        return {f"real_{name}": terms.real, f"fake_{name}": terms.fake, f"penalty_{name}": terms.penalty}

    @staticmethod
    def draw(like: Tensor) -> Tensor:
        """Uniform draws in 0..1 for the gradient penalty, one per element."""
        return torch.rand_like(like)

    def _generator_terms(
        self, batch: PairBatch, made: HashedPairs, second: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        quantisation = self.codes(made.image_codes, made.text_codes, batch.text_ids)
        return {
            "misleading_feature": generator_loss(self.discriminators.feature_dis, made.text_features),
            "misleading_hash": generator_loss(self.discriminators.hash_dis, second),
            "triplet_i2t": self.triplet(made.image_codes, made.text_codes, labels),
            "triplet_t2i": self.triplet(made.text_codes, made.image_codes, labels),
            "quantisation_image": quantisation.image,
            "quantisation_text": quantisation.text,
        }

    def on_train_epoch_end(self) -> None:
        self.codes.update()
        scheduler = self.lr_schedulers()
        if scheduler is not None:
            scheduler.step()

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        generator = self._make_optimizer(self.network.parameters())
        others = [
            self._make_discriminator_optimizer(part.parameters())
            for part in (self.discriminators.feature_dis, self.discriminators.hash_dis)
        ]
        schedules = [] if self._make_scheduler is None else [self._make_scheduler(generator)]
        return [generator, *others], schedules


def _labels(batch: PairBatch) -> Tensor:
    if batch.labels is None or batch.labels.shape[1] == 0:
        raise DataError(
            "DADH is supervised: its triplets and codes are made from the labels of the training images, but this data "
            "set has none; use a data set with labels, or model=ucch, which needs none"
        )
    return batch.labels.bool()
