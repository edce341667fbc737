"""Training of BLIP-2."""

import pytorch_lightning as L
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import pad

from fico.embeddings.encode import AutoBatchSize, by_length
from fico.losses.captioning import caption_loss
from fico.losses.gather import gather_rows, max_over_ranks
from fico.losses.image_text_matching import HardNegatives, ImageTextMatching
from fico.losses.same_image_contrast import SameImageContrast, same_image
from fico.networks.blip2 import BLIP2
from fico.types import EncodedBatch, PairBatch
from models._optim import NetworkOptimizer, StepScheduler, with_step_schedule


class BLIP2Module(L.LightningModule):
    """Trains BLIP-2 (Li et al., ICML 2023) and returns its vectors and the states that re-ranking needs.

    The loss is contrast + matching, + captioning where the network has that head, each with weight 1.

    Args:
        network: Encoder, pair scorer and matching head.
        optimizer: Builds the optimizer from the network.
        scheduler: Builds the learning-rate schedule, stepped once per step; None keeps the rate constant.
        smoothing: Label smoothing of the contrast's targets, 0..1.
        most_words: Longest text in training, in word pieces with both markers.
    """

    def __init__(
        self,
        network: BLIP2,
        optimizer: NetworkOptimizer,
        scheduler: StepScheduler | None = None,
        smoothing: float = 0.1,
        most_words: int = 32,
    ) -> None:
        super().__init__()
        self.network = network
        self.contrast = SameImageContrast(smoothing)
        self.negatives = HardNegatives()
        self.matching = ImageTextMatching()
        self.most_words = most_words
        self._encode_images = AutoBatchSize(self._image_side)
        self._encode_texts = AutoBatchSize(network.encode_texts)
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler

    def encode(self, batch: PairBatch) -> EncodedBatch:
        """One vector per query of an image and one per text; states of the images and the texts' ids for `match`."""
        images, states = self._encode_images(batch.images)
        texts, lengths = truncated(batch, batch.texts.shape[1])
        return EncodedBatch(
            images=images,
            image_ids=batch.image_ids,
            texts=by_length(self._encode_texts, texts, lengths),
            text_ids=batch.text_ids,
            text_lengths=lengths,
            image_states=states,
            text_states=batch.texts,
        )

    def _image_side(self, images: Tensor) -> tuple[Tensor, Tensor]:
        states = self.network.image_states(images)
        return self.network.image_embeddings(states), states

    def score(self, images: Tensor, texts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score every image with every text, from the vectors of `encode`."""
        return self.network.score(images, texts, lengths)

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
        network, (texts, lengths) = self.network, truncated(batch, self.most_words)
        images, states = self._image_side(batch.images)
        vectors = network.encode_texts(texts, lengths)
        i2t = network.score(images, gather_rows(vectors)) / network.temp
        t2i = network.score(gather_rows(images), vectors).T / network.temp
        is_same = same_image(batch.image_ids, gather_rows(batch.image_ids))
        other_image, other_text = self.negatives(t2i, is_same), self.negatives(i2t, is_same)
        all_texts, all_lengths = _gathered_texts(texts, lengths)
        width = all_texts.shape[1]
        logits = network.match_logits(
            torch.cat([states, gather_rows(states, "all")[other_image], states]),
            torch.cat([_padded(texts, width), _padded(texts, width), all_texts[other_text]]),
            torch.cat([lengths, lengths, all_lengths[other_text]]),
        )
        positives = len(states)
        terms = {
            "contrast": self.contrast(i2t, t2i, is_same),
            "matching": self.matching(logits[:positives], logits[positives:]),
        }
        if network.caption_head is not None:
            terms["captioning"] = caption_loss(network.caption_logits(states, texts, lengths), texts, lengths)
        return terms

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


def truncated(batch: PairBatch, most: int) -> tuple[Tensor, Tensor]:
    """Truncate texts to at most ``most`` word pieces, keeping the end marker; also give their lengths."""
    texts, lengths = batch.texts, batch.lengths
    if lengths is None:
        lengths = torch.full((len(texts),), texts.shape[1], device=texts.device)
    if texts.shape[1] <= most:
        return texts, lengths
    last = texts.gather(1, lengths[:, None] - 1).squeeze(1)
    is_long = lengths > most
    texts = texts[:, :most].clone()
    texts[is_long, -1] = last[is_long]
    return texts, lengths.clamp(max=most)


def _gathered_texts(texts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Texts and lengths of all processes, padded to the widest."""
    width = max_over_ranks(texts.shape[1], texts.device)
    return gather_rows(_padded(texts, width)), gather_rows(lengths)


def _padded(texts: Tensor, width: int) -> Tensor:
    return pad(texts, (0, width - texts.shape[1]))
