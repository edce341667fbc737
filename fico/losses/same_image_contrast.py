"""Contrastive loss of a batch of image-text pairs whose images may repeat."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


def same_image(own_ids: Int64[Tensor, " own"], every_ids: Int64[Tensor, " every"]) -> Bool[Tensor, "own every"]:
    """Which pairs show the same image, and so are no negatives of one another."""
    return own_ids[:, None] == every_ids[None, :]


class SameImageContrast(nn.Module):
    r"""Cross-entropy of each image over all texts and of each text over all images, the mean of both.

    The target of a row gives equal shares to all columns of the same image, then
    :math:`(1 - s) \cdot` shares :math:`+ s / \text{columns}`. Where no image repeats it is the usual cross-entropy with
    label smoothing ``s``.

    Args:
        smoothing: ``s``, 0..1: 0.1 in BLIP-2, 0 in X-VLM.

    Source:
        ITC of BLIP-2 (Li et al., ICML 2023) and of X-VLM (Zeng et al., ICML 2022), with their public code.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(
        self,
        i2t: Float[Tensor, "own every"],
        t2i: Float[Tensor, "own every"],
        is_same: Bool[Tensor, "own every"],
    ) -> Float[Tensor, ""]:
        """Mean over the own rows, in nats.

        Args:
            i2t: Similarities divided by the temperature, own images to the texts of all processes.
            t2i: Own texts to the images of all processes.
            is_same: Of `same_image`; at least one True in each row. Columns of both matrices are the same pairs.
        """
        shares = is_same / is_same.sum(dim=1, keepdim=True)
        target = (1 - self.smoothing) * shares + self.smoothing / is_same.shape[1]
        image = torch.sum(-i2t.log_softmax(dim=1) * target, dim=1).mean()
        text = torch.sum(-t2i.log_softmax(dim=1) * target, dim=1).mean()
        return (image + text) / 2
