"""Contrastive loss of a batch of image-text pairs under a learnt scale."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.losses.gather import gather_rows, own_rows


class ImageTextContrast(nn.Module):
    r"""Cross-entropy of each image over all texts and of each text over all images, the mean of both.

    Logits are :math:`e^{s}` times the inner products. Other captions of the same image count as negatives. With several
    processes the rows of all are compared, and the gradient is the sum over the losses of all.

    Source:
        Radford et al., ICML 2021; in this form (full gradient of the gathered rows, no clamp of the scale) the loss of
        BEiT-3 (Wang et al., CVPR 2023) and its public code.
    """

    def forward(
        self,
        images: Float[Tensor, "pairs dim"],
        texts: Float[Tensor, "pairs dim"],
        logit_scale: Float[Tensor, ""],
    ) -> Float[Tensor, ""]:
        """Mean over the own pairs, in nats.

        Args:
            images: Unit vectors.
            texts: Unit vectors; row i belongs to row i of the images.
            logit_scale: ``s``, the logarithm of the scale.
        """
        every_image, every_text = gather_rows(images, "all"), gather_rows(texts, "all")
        scale = logit_scale.exp()
        own = own_rows(len(images), len(every_image))
        target = torch.arange(own.start, own.stop, device=images.device)
        image = F.cross_entropy(scale * images @ every_text.T, target)
        text = F.cross_entropy(scale * texts @ every_image.T, target)
        return (image + text) / 2
