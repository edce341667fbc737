"""Embeddings with a bias of each item as two further dimensions of an inner product."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fico.errors import UsageError

Normalised = Literal["cosine", "inner"]
Sides = tuple[Tensor, Tensor]


def comparable_rows(images: Tensor, texts: Tensor, bank: Sides, similarity: Normalised) -> tuple[Sides, Sides]:
    """Both sides and their bank as rows whose inner products are the scores, on the device of the images.

    Raises:
        UsageError: The similarity is neither ``cosine`` nor ``inner``.
    """
    if similarity not in ("cosine", "inner"):
        raise UsageError(
            f"a hubness correction takes scores of cosine or inner, got {similarity}; leave out hubness_correction"
        )
    found = [_floats(side, similarity, images.device) for side in (images, texts, *bank)]
    return (found[0], found[1]), (found[2], found[3])


def biased_rows(
    images: Tensor, texts: Tensor, image_bias: Float[Tensor, " images"], text_bias: Float[Tensor, " captions"]
) -> tuple[Float[Tensor, "images wide"], Float[Tensor, "captions wide"]]:
    """Rows whose inner products are ``<image, text> - bias(text) - bias(image)``.

    Of one query its own bias is the same for every item, so that these rows serve both directions, and any index of
    inner products searches them as it is.
    """
    own_image, own_text = image_bias[:, None].to(images.dtype), text_bias[:, None].to(texts.dtype)
    return (
        torch.cat([images, torch.ones_like(own_image), -own_image], dim=1),
        torch.cat([texts, -own_text, torch.ones_like(own_text)], dim=1),
    )


def _floats(rows: Tensor, similarity: Normalised, device: torch.device) -> Tensor:
    rows = rows.detach().to(device, torch.float64 if rows.dtype == torch.float64 else torch.float32)
    return torch.nn.functional.normalize(rows, dim=1) if similarity == "cosine" else rows
