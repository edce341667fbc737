"""One linear hash head on the frozen embeddings or features of each side."""

from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fico.networks.blocks.sign import sign_codes
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.tower_heads import linear_head

Head = Literal["tanh", "sign"]


class HashHeads(nn.Module):
    r"""Hash codes of both sides by a linear map of one precomputed vector an image and one a caption.

    Args:
        image_dim: Width of the image features.
        text_dim: Width of the text features.
        bits: Length of the code.
        head: What the losses see of a projection :math:`z`. ``tanh``: :math:`\tanh z`. ``sign``: its sign, with the
            gradient of :math:`\tanh z` (straight-through).
        dropout: Of the features, 0..1; high where the pairs are few.

    Source:
        The heads of DSPH (Huo et al., TCSVT 2023) and its public code, which has them on CLIP; straight-through
        gradients: Bengio et al., arXiv 1308.3432.

    Differs:
        The features are brought to mean 0 and deviation 1, and they are dropped out in the place of the codes.
    """

    def __init__(
        self, image_dim: int, text_dim: int, bits: int = 64, head: Head = "tanh", dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.bits, self.head = bits, head
        self.image_head = linear_head(image_dim, bits, dropout)
        self.text_head = linear_head(text_dim, bits, dropout)

    def forward(
        self, images: Float[Tensor, "pairs image_dim"], texts: Float[Tensor, "pairs text_dim"]
    ) -> tuple[Float[Tensor, "pairs bits"], Float[Tensor, "pairs bits"]]:
        """Codes of both sides as the losses take them, in -1..1."""
        return self._relaxed(self.image_head(images)), self._relaxed(self.text_head(texts))

    def encode_images(self, images: Float[Tensor, "images image_dim"]) -> Float[Tensor, "images bits"]:
        """Codes of +1 and -1."""
        return sign_codes(self.image_head(images))

    def encode_texts(
        self, texts: Float[Tensor, "texts text_dim"], lengths: Tensor | None = None
    ) -> Float[Tensor, "texts bits"]:
        """Codes of +1 and -1. Text features have no length: ``lengths`` is not used."""
        return sign_codes(self.text_head(texts))

    def load_released(self, path: Path | str) -> "HashHeads":
        """Load a ``.safetensors`` under our names; no authors released weights.

        Returns:
            The network itself.

        Raises:
            DataError: The file is missing, damaged, or its names or shapes differ from this network's.
        """
        load_strictly(self, read_checkpoint(path), path)
        return self

    def _relaxed(self, values: Float[Tensor, "items bits"]) -> Float[Tensor, "items bits"]:
        bounded = torch.tanh(values)
        return bounded if self.head == "tanh" else bounded + (sign_codes(bounded) - bounded).detach()
