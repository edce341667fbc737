"""Asymmetric loss of a multi-label classifier: easy negatives count less than easy positives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_SCALE = 1000.0  # of the authors' training


class AsymmetricLoss(nn.Module):
    r"""Cross-entropy per class, with weights that fall faster for easy negatives than for easy positives.

    The weight is :math:`(1 - p)^{\gamma_+}` where the class is there and :math:`q^{\gamma_-}` where it is not, with
    :math:`q = \max(p - m, 0)`.

    Args:
        gamma_pos: Exponent of the positives, at least 0.
        gamma_neg: Exponent of the negatives, at least 0.
        clip: ``m``: negatives below that probability cost nothing. 0 switches it off.
        eps: Least probability inside the logarithms.

    Source:
        Ben-Baruch et al., ICCV 2021, arXiv 2009.14119, as Query2Label trains with it: sum over all entries, divided by
        their number, times 1000. The weights carry no gradient.
    """

    def __init__(self, gamma_pos: float = 0.0, gamma_neg: float = 2.0, clip: float = 0.0, eps: float = 1e-5) -> None:
        super().__init__()
        self.gamma_pos, self.gamma_neg, self.clip, self.eps = gamma_pos, gamma_neg, clip, eps

    def forward(
        self, logits: Float[Tensor, "images classes"], labels: Bool[Tensor, "images classes"]
    ) -> Float[Tensor, ""]:
        """The loss of a batch.

        Args:
            logits: Of the classifier.
            labels: True where the class is there.
        """
        present = torch.sigmoid(logits)
        absent = (1 - present + self.clip).clamp(max=1)
        right = torch.where(labels, present, absent)
        with torch.no_grad():
            gamma = torch.where(labels, self.gamma_pos, self.gamma_neg)
            weight = (1 - right) ** gamma
        return -_SCALE * (weight * right.clamp(min=self.eps).log()).mean()
