"""Triplet hinge loss over a matrix of scores whose diagonal holds the positive pairs."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TripletHinge(nn.Module):
    r"""Hinge triplet loss in both directions, summed over the batch.

    With :math:`S_{ij}` the score of image ``i`` and text ``j``, the cost of a negative is
    :math:`[m + S_{ij} - S_{ii}]_+` for the image and :math:`[m + S_{ij} - S_{jj}]_+` for the text.

    Args:
        margin: ``m``, at least 0, on the scale of the scores.
        hardest: Only the hardest negative of each image and of each text (``max_violation``); otherwise all of them.

    Source:
        Faghri et al., BMVC 2018 (VSE++), equations 5 and 6, and its public code.
    """

    def __init__(self, margin: float = 0.2, hardest: bool = True) -> None:
        super().__init__()
        self.margin = margin
        self.hardest = hardest

    def forward(self, scores: Float[Tensor, "pairs pairs"]) -> Float[Tensor, ""]:
        """Sum, not mean, over the batch. Other captions of the same image count as negatives."""
        positives = scores.diagonal()
        is_positive = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        image_costs = (self.margin + scores - positives.unsqueeze(1)).clamp(min=0).masked_fill(is_positive, 0)
        text_costs = (self.margin + scores - positives.unsqueeze(0)).clamp(min=0).masked_fill(is_positive, 0)
        if self.hardest:
            return image_costs.amax(dim=1).sum() + text_costs.amax(dim=0).sum()
        return image_costs.sum() + text_costs.sum()
