"""Image-text matching (ITM) loss of fused pairs, and the sampling of its hard negatives by similarity."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

# Logit of a pair that is not a negative, as upstream; finite, so that a row without any negative stays so.
_EXCLUDED = -10000.0


def negative_weights(
    logits: Float[Tensor, "local gathered"], is_same: Bool[Tensor, "local gathered"], floor: float | None = None
) -> Float[Tensor, "local gathered"]:
    """Sampling weights of each column as the negative of a row.

    Args:
        logits: Similarities divided by the temperature.
        is_same: Pairs of the same image, never drawn while there is a negative.
        floor: None: softmax over the negatives only (BLIP-2). A number: softmax over all columns, this number added
            to each weight, weights of the same image set to 0 (X-VLM: 1e-5).

    Returns:
        Weights, without a gradient; rows need not sum to 1.
    """
    logits = logits.detach().float()
    if floor is None:
        return logits.masked_fill(is_same, _EXCLUDED).softmax(dim=1)
    return (logits.softmax(dim=1) + floor).masked_fill(is_same, 0)


class HardNegatives(nn.Module):
    """Samples one hard negative per row, in proportion to its similarity.

    Args:
        floor: As for `negative_weights`.
    """

    def __init__(self, floor: float | None = None) -> None:
        super().__init__()
        self.floor = floor

    def forward(
        self, logits: Float[Tensor, "local gathered"], is_same: Bool[Tensor, "local gathered"]
    ) -> Int64[Tensor, " local"]:
        """Column of the negative of each row; drawn from torch's global generator."""
        return self.draw(negative_weights(logits, is_same, self.floor))

    def draw(self, weights: Float[Tensor, "local gathered"]) -> Int64[Tensor, " local"]:
        """One column per row, in proportion to the weights."""
        return torch.multinomial(weights, 1).squeeze(1)


class ImageTextMatching(nn.Module):
    """Binary cross-entropy over fused pairs: positive pairs, and pairs with a sampled negative on either side.

    Source:
        ITM of BLIP-2 (Li et al., ICML 2023) and of X-VLM (Zeng et al., ICML 2022), with their public code.
    """

    def forward(self, matching: Float[Tensor, "pairs 2"], others: Float[Tensor, "negatives 2"]) -> Float[Tensor, ""]:
        """Mean over all rows, in nats.

        Args:
            matching: Logits of the positive pairs; class 1 is a match.
            others: Logits of the texts with negative images, then of the images with negative texts.
        """
        logits = torch.cat([matching, others])
        labels = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        labels[: len(matching)] = 1
        return F.cross_entropy(logits, labels)
