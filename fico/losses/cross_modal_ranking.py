"""Cross-modal ranking loss of UCCH: log-sum-exp with negatives outside the margin weighted down."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class RankingTerms:
    """Both directions of the ranking loss."""

    i2t: Float[Tensor, ""]
    t2i: Float[Tensor, ""]


def inside_margin(scores: Float[Tensor, "queries items"], margin: float) -> Bool[Tensor, "queries items"]:
    """True where an item's score is at most ``margin`` below that of the positive, the diagonal.

    Args:
        scores: Inner products; row ``i`` belongs to column ``i``.
        margin: At least 0; so the diagonal is always inside.
    """
    return scores >= scores.diagonal().unsqueeze(1) - margin


class CrossModalRanking(nn.Module):
    r"""Log-sum-exp over the batch, with the negatives outside the margin pushed down by ``shift``.

    For image to text, with :math:`M_{ij}` the inner product of image ``i`` and text ``j``,
    :math:`S_{ij} = M_{ij}` inside the margin and :math:`M_{ij} - \eta` outside; the term is
    :math:`\mathrm{mean}_i(-S_{ii} + \log\sum_j \exp S_{ij} + m)`. Text to image is the same on the
    transposed matrix, whose margin is relative to the diagonal of its column.

    Args:
        margin: ``m``, at least 0; it is also added to the value of each direction, as in the original.
        shift: ``eta``, above 0.

    Source:
        Hu et al., TPAMI 45(3) 2023, section 3.4, and the authors' public code.
    """

    def __init__(self, margin: float = 0.2, shift: float = 1.0) -> None:
        super().__init__()
        self.margin = margin
        self.shift = shift

    def forward(self, images: Float[Tensor, "pairs bits"], texts: Float[Tensor, "pairs bits"]) -> RankingTerms:
        """Both directions, each a mean over the batch. Row ``i`` of both sides is a positive pair."""
        scores = images @ texts.T
        return RankingTerms(i2t=self._direction(scores), t2i=self._direction(scores.T))

    def _direction(self, scores: Float[Tensor, "queries items"]) -> Float[Tensor, ""]:
        shifted = scores.where(inside_margin(scores.detach(), self.margin), scores - self.shift)
        return (shifted.logsumexp(dim=1) - shifted.diagonal() + self.margin).mean()
