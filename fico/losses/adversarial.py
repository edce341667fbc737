"""Adversarial terms: a discriminator learns to tell images from texts, a generator to mislead it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PENALTY_WEIGHT = 10.0  # of the authors, and of the paper that brought the penalty


@dataclass(frozen=True, slots=True, eq=False)
class DiscriminatorTerms:
    """What a discriminator is trained with; the three are added."""

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
    """Cross-entropy of real (images) and fake (texts), and the penalty on gradients between them.

    Args:
        discriminator: Gives one score an item; above 0 means image.
        images: Count as real. No gradient reaches them.
        texts: Count as fake. No gradient reaches them.
        draws: Uniform in 0..1, one for every element (not every pair): shares of the image in the mixed points at
            which the gradient's length is held near 1.
        weight: Of the two cross-entropies; the penalty always counts 10 times.

    Source:
        The public code of DADH; the penalty from Gulrajani et al., NeurIPS 2017, where a pair has one draw.

    Differs:
        The logarithm of the sigmoid is taken in one operation, so that a sure discriminator gives no infinity.
    """
    real, fake = images.detach(), texts.detach()
    return DiscriminatorTerms(
        real=weight * F.softplus(-discriminator(real)).mean(),
        fake=weight * F.softplus(discriminator(fake)).mean(),
        penalty=_gradient_penalty(discriminator, draws * real + (1 - draws) * fake),
    )


def misleading(discriminator: nn.Module, texts: Float[Tensor, "pairs dim"]) -> Float[Tensor, ""]:
    """How little the discriminator takes the texts for images: the generator's term, 0 at best."""
    return F.softplus(-discriminator(texts)).mean()


def _gradient_penalty(discriminator: nn.Module, points: Float[Tensor, "pairs dim"]) -> Float[Tensor, ""]:
    points.requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)
    distance: Tensor = slope.norm(dim=1) - 1
    return PENALTY_WEIGHT * (distance**2).mean()
