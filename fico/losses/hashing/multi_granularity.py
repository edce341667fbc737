"""The loss of MITH: label likelihoods, contrast, quantisation and distillation over two granularities of a code."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.losses.same_image_contrast import SameImageContrast, same_image
from fico.networks.mith import Granularities
from fico.types import PairBatch

TEMPERATURE = 0.07
_LARGEST_PRODUCT = 64  # of two codes in the likelihood, whatever their length
_BACK_TO_TEACHER = 0.1

Codes = Float[Tensor, "pairs bits"]


def pairwise_likelihood(
    codes: Codes, memory: Float[Tensor, "rows bits"], is_similar: Bool[Tensor, "pairs rows"]
) -> Float[Tensor, ""]:
    r"""Negative log-likelihood that similar items have a large inner product.

    It is the mean over all entries of :math:`\log(1 + e^{s}) - S s`, with half the inner product :math:`s`, clamped to
    -32..32.
    """
    logits = (codes @ memory.T).clamp(-_LARGEST_PRODUCT, _LARGEST_PRODUCT) / 2
    return F.binary_cross_entropy_with_logits(logits, is_similar.to(logits.dtype))


def concept_contrast(
    images: Float[Tensor, "pairs bits dim"], texts: Float[Tensor, "pairs bits dim"]
) -> Float[Tensor, ""]:
    """Cross-entropy of each concept of an image over all concepts of its caption and the reverse, the mean of both.

    Args:
        images: Concept tokens of unit length.
        texts: Those of the matching captions.
    """
    logits = images @ texts.transpose(1, 2) / TEMPERATURE
    target = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return (F.cross_entropy(logits.transpose(1, 2), target) + F.cross_entropy(logits, target)) / 2


def quantisation(side: Granularities, binary: Codes) -> Float[Tensor, ""]:
    """Mean squared distance of the mean of both codes to binary ones."""
    return F.mse_loss((side.global_codes + side.local_codes) / 2, binary)


def distillation(side: Granularities) -> Float[Tensor, ""]:
    """Squared distance of the local codes (student) to the global ones (teacher), a tenth of it for the teacher.

    Summed over the bits, a mean over the items.
    """
    student = (side.local_codes - side.global_codes.detach()).square().sum(dim=1).mean()
    teacher = (side.global_codes - side.local_codes.detach()).square().sum(dim=1).mean()
    return student + _BACK_TO_TEACHER * teacher


def binary_targets(images: Granularities, texts: Granularities, global_weight: float) -> Codes:
    """Common codes of +1 and -1 of each pair, without gradient.

    Args:
        images: One side.
        texts: The other.
        global_weight: Weight of the global codes, 0..1; the local ones have the rest.
    """
    mixed = [global_weight * side.global_codes + (1 - global_weight) * side.local_codes for side in (images, texts)]
    return (mixed[0] + mixed[1]).detach().sign()


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the terms, as the authors' code has them.

    Args:
        intra: Likelihood of the local codes within each side.
        inter: Likelihood of the global codes across the sides (``beta``).
        quantisation: ``gamma``.
        contrast: Of the global vectors (``delta``).
        concepts: Factor of the contrast of concept tokens on top of ``contrast`` (``alpha``).
        distillation: ``mu``.
        global_weight: Weight of the global codes in the binary targets (``lambda``), 0..1.
    """

    intra: float = 1.0
    inter: float = 10.0
    quantisation: float = 8.0
    contrast: float = 50.0
    concepts: float = 0.01
    distillation: float = 1.0
    global_weight: float = 0.99


class MultiGranularity(nn.Module):
    """Supervised loss over global and local codes of both sides.

    Similar means: a label in common. The likelihoods compare the batch with the latest codes of every training pair.

    Args:
        train_pairs: Number of training pairs, each with four rows of codes in memory.
        classes: Number of classes.
        bits: Length of the code.
        weights: Of the terms.

    Raises:
        DataError: There are no classes.

    Source:
        Liu et al., ACM MM 2023, and the authors' public code (``compute_loss``), written anew from its equations.

    Differs:
        The memory starts empty and grows in the first epoch; in the original a pair that no batch has held yet has
        random codes. A pair is a caption with its image, and captions of one image are no negatives of each other in
        the contrast; the original has one text per image.
    """

    memory: Tensor
    labels: Tensor
    is_seen: Tensor

    def __init__(self, train_pairs: int, classes: int, bits: int, weights: Weights | None = None) -> None:
        super().__init__()
        if classes < 1:
            raise DataError(
                "MITH is supervised: its likelihoods compare labels, but this data set has none; use a data set with "
                "labels, or model=ucch, which needs none"
            )
        self.weights = weights or Weights()
        self.contrast = SameImageContrast()
        self.register_buffer("memory", torch.zeros(4, train_pairs, bits))  # global image, text; local image, text
        self.register_buffer("labels", torch.zeros(train_pairs, classes, dtype=torch.bool))
        self.register_buffer("is_seen", torch.zeros(train_pairs, dtype=torch.bool))

    def forward(self, images: Granularities, texts: Granularities, batch: PairBatch) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms, whose sum is the loss; puts the codes of the batch into the memory first.

        Args:
            images: Of the images of the pairs.
            texts: Of their captions.
            batch: Holds labels, image ids, and as ``text_ids`` the row of each pair in the memory.

        Raises:
            DataError: The batch has no labels.
        """
        if batch.labels is None:
            raise DataError("the loss of MITH needs the labels of every pair; use a data set with labels")
        labels = batch.labels.bool()
        self._record(images, texts, labels, batch.text_ids)
        similar = (labels.to(self.memory.dtype) @ self.labels[self.is_seen].to(self.memory.dtype).T) > 0
        global_images, global_texts, local_images, local_texts = self.memory[:, self.is_seen]
        binary, weights = binary_targets(images, texts, self.weights.global_weight), self.weights
        return {
            "intra": weights.intra
            * (
                pairwise_likelihood(images.local_codes, local_images, similar)
                + pairwise_likelihood(texts.local_codes, local_texts, similar)
            ),
            "inter": weights.inter
            * (
                pairwise_likelihood(texts.global_codes, global_images, similar)
                + pairwise_likelihood(images.global_codes, global_texts, similar)
            ),
            "quantisation": weights.quantisation * (quantisation(images, binary) + quantisation(texts, binary)),
            "contrast": weights.contrast * self._alignment(images, texts, batch.image_ids),
            "distillation": weights.distillation * (distillation(images) + distillation(texts)),
        }

    def _alignment(
        self, images: Granularities, texts: Granularities, image_ids: Int64[Tensor, " pairs"]
    ) -> Float[Tensor, ""]:
        logits = images.vectors @ texts.vectors.T / TEMPERATURE
        whole: Tensor = self.contrast(logits, logits.T, same_image(image_ids, image_ids))
        return whole + self.weights.concepts * concept_contrast(images.concepts, texts.concepts)

    @torch.no_grad()
    def _record(
        self, images: Granularities, texts: Granularities, labels: Tensor, rows: Int64[Tensor, " pairs"]
    ) -> None:
        codes = (images.global_codes, texts.global_codes, images.local_codes, texts.local_codes)
        self.memory[:, rows] = torch.stack(codes).to(self.memory.dtype)
        self.labels[rows] = labels
        self.is_seen[rows] = True
