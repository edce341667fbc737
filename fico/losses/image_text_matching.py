"""Matching loss of fused image-text pairs, and the choice of its negatives by similarity."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

_EXCLUDED = (
    -10000.0
)  # logit of a pair that is no negative, as upstream; not -inf: a row of one image alone stays finite


def negative_weights(
    logits: Float[Tensor, "own every"], is_same: Bool[Tensor, "own every"], floor: float | None = None
) -> Float[Tensor, "own every"]:
    """How likely each column is drawn as the negative of a row.

    Args:
        logits: Similarities divided by the temperature.
        is_same: Pairs of the same image, never drawn while there is another.
        floor: None: the softmax is taken over the others alone (BLIP-2). A number: it is taken over all, this is added
            to each weight, and those of the same image become 0 (X-VLM: 1e-5).

    Returns:
        Weights, without a gradient; rows need not sum to 1.
    """
    logits = logits.detach().float()
    if floor is None:
        return logits.masked_fill(is_same, _EXCLUDED).softmax(dim=1)
    return (logits.softmax(dim=1) + floor).masked_fill(is_same, 0)


class HardNegatives(nn.Module):
    """Draws one negative for each row, the more likely the more similar it is.

    Args:
        floor: As of `negative_weights`.
    """

    def __init__(self, floor: float | None = None) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, logits: Float[Tensor, "own every"], is_same: Bool[Tensor, "own every"]) -> Int64[Tensor, " own"]:
        """Column of the negative of each row; drawn from torch's global generator."""
        return self.draw(negative_weights(logits, is_same, self.floor))

    def draw(self, weights: Float[Tensor, "own every"]) -> Int64[Tensor, " own"]:
        """One column a row, in proportion to the weights."""
        return torch.multinomial(weights, 1).squeeze(1)


class ImageTextMatching(nn.Module):
    """Two-class cross-entropy over fused pairs: the own ones match, those with a negative do not.

    Source:
        ITM of BLIP-2 (Li et al., ICML 2023) and of X-VLM (Zeng et al., ICML 2022), with their public code.
    """

    def forward(self, matching: Float[Tensor, "pairs 2"], others: Float[Tensor, "negatives 2"]) -> Float[Tensor, ""]:
        """Mean over all rows, in nats.

        Args:
            matching: Logits of the own pairs; class 1 is a match.
            others: Logits of own texts with negative images, then of own images with negative texts.
        """
        logits = torch.cat([matching, others])
        labels = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        labels[: len(matching)] = 1
        return F.cross_entropy(logits, labels)
