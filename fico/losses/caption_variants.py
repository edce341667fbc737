"""Losses over variants of a caption: rephrased ones are positives of the image, falsified ones negatives."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Rephrase(nn.Module):
    """One minus the cosine of an image and its rephrased captions.

    Source:
        The public code of ADV. The image is the anchor, not the caption.
    """

    def forward(
        self, images: Float[Tensor, "pairs bits"], rephrased: Float[Tensor, "pairs variants bits"]
    ) -> Float[Tensor, ""]:
        """Sum over pairs and variants.

        Args:
            images: Codes of any scale.
            rephrased: Codes of captions of the same meaning in other words.
        """
        return (1 - F.cosine_similarity(images.unsqueeze(1), rephrased, dim=2)).sum()


class Adversary(nn.Module):
    """Triplet hinge of an image with its caption as positive and falsified captions as negatives.

    Args:
        margin: Of the cosine, 0..2.

    Source:
        The public code of ADV. The image is the anchor, not the caption.
    """

    def __init__(self, margin: float = 0.5) -> None:
        super().__init__()
        self.margin = margin

    def forward(
        self,
        images: Float[Tensor, "pairs bits"],
        texts: Float[Tensor, "pairs bits"],
        falsified: Float[Tensor, "pairs variants bits"],
    ) -> Float[Tensor, ""]:
        """Sum over pairs and variants.

        Args:
            images: Codes of any scale.
            texts: Codes of their captions.
            falsified: Codes of captions in which a word was replaced.
        """
        positives = F.cosine_similarity(images, texts).unsqueeze(1)
        negatives = F.cosine_similarity(images.unsqueeze(1), falsified, dim=2)
        return (negatives - positives + self.margin).clamp(min=0).sum()
