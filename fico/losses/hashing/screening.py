"""Screening loss: the item that a finer model ranks first stays among the first candidates of the codes."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.types import PairBatch

Scores = Float[Tensor, "queries items"]


class Screening(nn.Module):
    r"""Soft hinge between the item to keep and each of the ``candidates`` hardest others of the batch.

    With :math:`s` the inner product of two codes over their length, and ``p`` the item to keep, query ``i`` costs the
    mean over its hardest items ``j`` of :math:`\tau \log(1 + \exp((s_{ij} - s_{ip} + m) / \tau))`; both directions are
    added. Items beyond these do not count: they will not displace ``p`` from the candidates that a finer model ranks.

    Args:
        keeps_nearest: Keep the item of the batch that is nearest by the embeddings which the heads read, of both sides
            in one space. Else the matching item is kept, and other items of the same image are no negatives.
        candidates: Hardest items that count, at least 1.
        margin: :math:`m`, on the scale of :math:`s`, -1..1.
        temperature: :math:`\tau`, above 0; towards 0 it is a hinge.

    Source:
        Ours; a top-k hinge as in Lapin et al., CVPR 2016, over the negatives of a batch.
    """

    def __init__(
        self, keeps_nearest: bool = False, candidates: int = 10, margin: float = 0.1, temperature: float = 0.1
    ) -> None:
        super().__init__()
        self.keeps_nearest = keeps_nearest
        self.candidates, self.margin, self.temperature = candidates, margin, temperature

    def forward(
        self, images: Float[Tensor, "pairs bits"], texts: Float[Tensor, "pairs bits"], batch: PairBatch
    ) -> dict[str, Float[Tensor, ""]]:
        """Both directions, each a mean over the batch, whose sum is the loss.

        Args:
            images: Continuous codes in -1..1.
            texts: The same; row ``i`` matches row ``i`` of the images.
            batch: Embeddings of both sides, and the image of each pair.
        """
        scores = images @ texts.T / images.shape[1]
        if self.keeps_nearest:
            exact = F.normalize(batch.images) @ F.normalize(batch.texts).T
            kept = {"i2t": exact.argmax(dim=1), "t2i": exact.argmax(dim=0)}
            left_out = {side: F.one_hot(rows, len(scores)).bool() for side, rows in kept.items()}
        else:
            kept = dict.fromkeys(("i2t", "t2i"), torch.arange(len(scores), device=scores.device))
            left_out = dict.fromkeys(kept, batch.image_ids.unsqueeze(1) == batch.image_ids)
        matrices = {"i2t": scores, "t2i": scores.T}
        return {side: self._direction(matrices[side], kept[side], left_out[side]) for side in kept}

    def _direction(
        self, scores: Scores, kept: Int64[Tensor, " queries"], left_out: Bool[Tensor, "queries items"]
    ) -> Float[Tensor, ""]:
        hardest = scores.masked_fill(left_out, -torch.inf).topk(min(self.candidates, len(scores))).values
        excess = (hardest - scores.gather(1, kept.unsqueeze(1)) + self.margin) / self.temperature
        return self.temperature * F.softplus(excess).mean()
