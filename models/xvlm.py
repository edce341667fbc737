"""Training of X-VLM."""

import pytorch_lightning as L
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fico.embeddings.encode import AutoBatchSize, by_length
from fico.losses.gather import gather_rows
from fico.losses.image_text_matching import HardNegatives, ImageTextMatching
from fico.losses.same_image_contrast import SameImageContrast, same_image
from fico.networks.xvlm import XVLM
from fico.types import EncodedBatch, PairBatch
from models._optim import NetworkOptimizer, StepScheduler, with_step_schedule


class XVLMModule(L.LightningModule):
    """Trains X-VLM (Zeng et al., ICML 2022) and returns its vectors and the states that re-ranking needs.

    The loss is contrast + matching, each with weight 1.

    Args:
        network: Encoder of both sides, pair scorer and matching head.
        optimizer: Builds the optimizer from the network.
        scheduler: Builds the learning-rate schedule, stepped once per step; None keeps the rate constant.

    Differs:
        The original chooses the best epoch by the mean recall of the TEST split, here the validation split does; it
        also augments training images by RandAugment; and it lets the temperature and the matching head's norm decay.
    """

    def __init__(self, network: XVLM, optimizer: NetworkOptimizer, scheduler: StepScheduler | None = None) -> None:
        super().__init__()
        self.network = network
        self.contrast = SameImageContrast()
        self.negatives = HardNegatives(floor=1e-5)
        self.matching = ImageTextMatching()
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._encode_images = AutoBatchSize(self._image_side)
        self._encode_texts = AutoBatchSize(self._text_side)

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """Unit vectors of both sides; image tokens and word states for `match`."""
        images, image_states = self._encode_images(batch.images)
        lengths = _lengths(batch)
        texts, text_states = by_length(self._encode_texts, batch.texts, lengths)
        return EncodedBatch(
            images=images,
            image_ids=batch.image_ids,
            texts=texts,
            text_ids=batch.text_ids,
            text_lengths=lengths,
            image_states=image_states,
            text_states=text_states,
        )

    def match(self, image_states: Tensor, text_states: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score pairs, row by row, from the states of `encode`."""
        return self.network.match(image_states, text_states, lengths)

    def image_keys(self, image_states: Tensor) -> Tensor:
        """What `match_lists` needs of images, from their states."""
        return self.network.image_keys(image_states)

    def match_lists(self, image_keys: Tensor, text_states: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score each image with the texts of its own list."""
        return self.network.match_lists(image_keys, text_states, lengths)

    def losses(self, batch: PairBatch) -> dict[str, Tensor]:
        """The terms of the loss by name."""
        lengths, ids, temp = _lengths(batch), batch.image_ids, self.network.temp
        images, image_states = self._image_side(batch.images)
        texts, text_states = self._text_side(batch.texts, lengths)
        i2t = images @ gather_rows(texts, "local").T / temp
        t2i = texts @ gather_rows(images, "local").T / temp
        contrast = self.contrast(i2t, t2i, same_image(ids, gather_rows(ids)))
        local, is_same = images @ texts.T / temp, same_image(ids, ids)  # negatives come from this process alone
        other_image, other_text = self.negatives(local.T, is_same), self.negatives(local, is_same)
        logits = self.network.match_logits(
            torch.cat([image_states, image_states[other_image], image_states]),
            torch.cat([text_states, text_states, text_states[other_text]]),
            torch.cat([lengths, lengths, lengths[other_text]]),
        )
        return {"contrast": contrast, "matching": self.matching(logits[: len(ids)], logits[len(ids) :])}

    def _image_side(self, images: Tensor) -> tuple[Tensor, Tensor]:
        states = self.network.image_states(images)
        return self.network.image_embeddings(states), states

    def _text_side(self, texts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        states = self.network.text_states(texts, lengths)
        return self.network.text_embeddings(states), states

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        terms = self.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.images))
        self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=len(batch.images))
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> EncodedBatch:
        return self.encode(batch)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return with_step_schedule(self, self._make_optimizer(self.network), self._make_scheduler)


def _lengths(batch: PairBatch) -> Tensor:
    if batch.lengths is not None:
        return batch.lengths
    return torch.full((len(batch.texts),), batch.texts.shape[1], device=batch.texts.device)
