"""Contrastive loss of a batch of image-text pairs with a learnt logit scale (CLIP)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.losses.gather import gather_rows, local_rows


class ImageTextContrast(nn.Module):
    r"""Cross-entropy of each image over all texts and of each text over all images, the mean of both.

    Logits are :math:`e^{s}` times the inner products. Other captions of the same image count as negatives. In
    distributed training the rows of all ranks are gathered, and the gradient is that of the sum over all losses.

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
        """Mean over the pairs of this rank, in nats.

        Args:
            images: Unit vectors.
            texts: Unit vectors; row i is the positive of image i.
            logit_scale: ``s``, the logarithm of the scale.
        """
        all_images, all_texts = gather_rows(images, "all"), gather_rows(texts, "all")
        scale = logit_scale.exp()
        rows = local_rows(len(images), len(all_images))
        target = torch.arange(rows.start, rows.stop, device=images.device)
        i2t = F.cross_entropy(scale * images @ all_texts.T, target)
        t2i = F.cross_entropy(scale * texts @ all_images.T, target)
        return (i2t + t2i) / 2
