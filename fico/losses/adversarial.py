"""Adversarial losses of a modality discriminator and of the generator against it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PENALTY_WEIGHT = 10.0  # of the authors, and of the paper that brought the penalty


@dataclass(frozen=True, slots=True, eq=False)
class DiscriminatorTerms:
    """Terms of the discriminator's loss, which is their sum."""

    real: Float[Tensor, ""]
    fake: Float[Tensor, ""]
    penalty: Float[Tensor, ""]


def discriminator_terms(
    discriminator: nn.Module,
    images: Float[Tensor, "pairs dim"],
    texts: Float[Tensor, "pairs dim"],
    draws: Float[Tensor, "pairs dim"],
    *,
    weight: float = 1.0,
) -> DiscriminatorTerms:
    """Cross-entropy of real (images) and fake (texts), and the gradient penalty at points between them.

    Args:
        discriminator: One logit per item; above 0 means image.
        images: The real class, without gradient.
        texts: The fake class, without gradient.
        draws: Uniform in 0..1, one per element (not per pair): weights of the image in the interpolated points at
            which the norm of the gradient is pulled to 1.
        weight: Of the two cross-entropies; the penalty always has weight 10.

    Source:
        The public code of DADH; the penalty from Gulrajani et al., NeurIPS 2017, where a pair has one draw.

    Differs:
        The logarithm of the sigmoid is taken in one operation, so that a confident discriminator gives no infinity.
    """
    real, fake = images.detach(), texts.detach()
    return DiscriminatorTerms(
        real=weight * F.softplus(-discriminator(real)).mean(),
        fake=weight * F.softplus(discriminator(fake)).mean(),
        penalty=_gradient_penalty(discriminator, draws * real + (1 - draws) * fake),
    )


def generator_loss(discriminator: nn.Module, texts: Float[Tensor, "pairs dim"]) -> Float[Tensor, ""]:
    """Non-saturating generator loss: cross-entropy of the texts with the label of images."""
    return F.softplus(-discriminator(texts)).mean()


def _gradient_penalty(discriminator: nn.Module, points: Float[Tensor, "pairs dim"]) -> Float[Tensor, ""]:
    points.requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    distance: Tensor = slope.norm(dim=1) - 1
    return PENALTY_WEIGHT * (distance**2).mean()
