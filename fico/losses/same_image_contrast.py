"""Image-text contrastive (ITC) loss of a batch whose images may repeat."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


def same_image(
    local_ids: Int64[Tensor, " local"], gathered_ids: Int64[Tensor, " gathered"]
) -> Bool[Tensor, "local gathered"]:
    """True where two pairs have the same image, so that neither is a negative of the other."""
    return local_ids[:, None] == gathered_ids[None, :]


class SameImageContrast(nn.Module):
    r"""Cross-entropy of each image over all texts and of each text over all images, the mean of both.

    The target of a row is uniform over the columns of the same image, then smoothed:
    :math:`(1 - s) \cdot` target :math:`+ s / \text{columns}`. Where no image repeats it is the usual cross-entropy with
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
        i2t: Float[Tensor, "local gathered"],
        t2i: Float[Tensor, "local gathered"],
        is_same: Bool[Tensor, "local gathered"],
    ) -> Float[Tensor, ""]:
        """Mean over the rows of this rank, in nats.

        Args:
            i2t: Similarities divided by the temperature, images of this rank to the texts of all ranks.
            t2i: Texts of this rank to the images of all ranks.
            is_same: Of `same_image`; at least one True in each row. Columns of both matrices are the same pairs.
        """
        positives = is_same / is_same.sum(dim=1, keepdim=True)
        target = (1 - self.smoothing) * positives + self.smoothing / is_same.shape[1]
        image = torch.sum(-i2t.log_softmax(dim=1) * target, dim=1).mean()
        text = torch.sum(-t2i.log_softmax(dim=1) * target, dim=1).mean()
        return (image + text) / 2
