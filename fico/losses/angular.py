"""Angular loss: an upper bound on the angle at the negative in the triangle of anchor, positive and negative."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, eq=False)
class AngularTerms:
    """The loss with image anchors, and with text anchors."""

    i2t: Float[Tensor, ""]
    t2i: Float[Tensor, ""]


class Angular(nn.Module):
    r"""Angular loss with the hardest negative of each anchor, at an angle of 45 degrees.

    With anchor ``a`` and positive ``p`` of length 1 and the positives ``n`` of the other anchors,
    :math:`\sum_a \log(1 + \exp \max_n (4 (a + p) \cdot n - 4\, a \cdot p))`.

    Source:
        Wang et al., ICCV 2017, and the public code of ADV.
    """

    def forward(self, images: Float[Tensor, "pairs bits"], texts: Float[Tensor, "pairs bits"]) -> AngularTerms:
        """Sums, not means, over the batch.

        Args:
            images: Codes of any scale.
            texts: Row ``i`` belongs to image ``i``.
        """
        images, texts = F.normalize(images), F.normalize(texts)
        return AngularTerms(i2t=_direction(images, texts), t2i=_direction(texts, images))


def _direction(anchors: Float[Tensor, "pairs bits"], positives: Float[Tensor, "pairs bits"]) -> Float[Tensor, ""]:
    positive = (anchors * positives).sum(dim=1, keepdim=True)
    violations = 4 * (anchors + positives) @ positives.T - 4 * positive
    is_positive = torch.eye(len(violations), dtype=torch.bool, device=violations.device)
    return F.softplus(violations.masked_fill(is_positive, -torch.inf).amax(dim=1)).sum()
