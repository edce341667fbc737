"""Cross-modal cosine triplet loss, weighted by the number of labels that anchor and positive share."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


def shared_labels(labels: Bool[Tensor, "pairs classes"]) -> Float[Tensor, "pairs pairs"]:
    """Number of common labels of every two pairs; on the diagonal the number of labels."""
    multi_hot = labels.float()
    return multi_hot @ multi_hot.T


def ranking_gains(overlap: Float[Tensor, "anchors items"]) -> Float[Tensor, "anchors items"]:
    r"""Gain of each item, divided by the ideal DCG of its anchor.

    :math:`g_{jk} = (2^{o_{jk}} - 1) / Z_j` with :math:`Z_j = \sum_r (2^{o_{j(r)}} - 1) / \log_2(r + 1)`, row ``j``
    sorted from the largest ``o``.

    Args:
        overlap: Shared labels, at least 0.

    Returns:
        At least 0. A row without shared labels is all 0, where the original divides 0 by 0.
    """
    gains = torch.exp2(overlap) - 1
    ranks = torch.arange(2, overlap.shape[1] + 2, device=overlap.device, dtype=overlap.dtype)
    ideal = (gains.sort(dim=1, descending=True).values / torch.log2(ranks)).sum(dim=1, keepdim=True)
    return gains / ideal.clamp(min=1)  # one shared label alone gives an ideal of at least 1


def cosine_distances(
    anchors: Float[Tensor, "anchors bits"], items: Float[Tensor, "items bits"]
) -> Float[Tensor, "anchors items"]:
    """One minus the cosine, clamped at 0 from below."""
    return (1 - F.normalize(anchors) @ F.normalize(items).T).clamp(min=0)


class LabelTriplet(nn.Module):
    r"""Hinge over every triplet of the batch: anchors of one modality, positives and negatives of the other.

    A positive shares a label with the anchor (its matching pair included), a negative none. A triplet costs
    :math:`w_{jp} [d_{jp} - d_{jn} + m]_+` with :math:`w = 10 f^2 g_{jp}` (``ranking_gains``) or, unweighted,
    :math:`w = f`.

    Args:
        margin: ``m``, at least 0, on the scale of one minus the cosine.
        is_weighted: Weight a triplet by the gain of its positive.
        factor: ``f``; 1.1 in training as published, where the code raises ``beta`` by 0.1 before it starts.

    Source:
        Bai et al., ICMR 2020, and the authors' public code (``calc_loss`` and ``tri_loss``), which weights triplets
        only where its ``alpha`` is exactly 10, and then adds the factor 10.

    Differs:
        A pair without labels has no triplet; the original's loss becomes NaN.
    """

    def __init__(self, margin: float = 0.4, is_weighted: bool = True, factor: float = 1.1) -> None:
        super().__init__()
        self.margin = margin
        self.is_weighted = is_weighted
        self.factor = factor

    def forward(
        self,
        anchors: Float[Tensor, "pairs bits"],
        items: Float[Tensor, "pairs bits"],
        labels: Bool[Tensor, "pairs classes"],
    ) -> Float[Tensor, ""]:
        """Sum, not mean, over all triplets of the batch. Holds ``pairs`` cubed floats.

        Args:
            anchors: Codes of one modality.
            items: Codes of the other; row ``i`` matches row ``i`` of the anchors.
            labels: Of the pairs.
        """
        overlap = shared_labels(labels)
        similar = (overlap > 0).to(anchors.dtype)
        weights = ranking_gains(overlap) * (10 * self.factor**2) if self.is_weighted else similar * self.factor
        distances = cosine_distances(anchors, items)
        hinge = (distances.unsqueeze(2) - distances.unsqueeze(1) + self.margin).clamp(min=0)
        over_negatives = (hinge @ (1 - similar).unsqueeze(2)).squeeze(2)
        return (over_negatives * weights).sum()
