"""A trained projection on each of two frozen towers: the smallest dual encoder that learns by contrast."""

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint


class TowerHeads(nn.Module):
    """Unit vectors of both sides by a linear map of one precomputed vector an image and one a caption.

    Args:
        image_dim: Width of the image features.
        text_dim: Width of the text features.
        dim: Width of the embeddings.
        dropout: Of the features, 0..1; high where the pairs are few.

    Source:
        The projections and the temperature of CLIP (Radford et al., ICML 2021); both towers stay locked, where LiT
        (Zhai et al., CVPR 2022) locks that of the images.

    Differs:
        Each feature vector is brought to mean 0 and deviation 1, and dropped out.
    """

    def __init__(self, image_dim: int, text_dim: int, dim: int = 256, dropout: float = 0.6) -> None:
        super().__init__()
        self.image_head = linear_head(image_dim, dim, dropout)
        self.text_head = linear_head(text_dim, dim, dropout)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_images(self, images: Float[Tensor, "images image_dim"]) -> Float[Tensor, "images dim"]:
        """Image vectors of unit length."""
        return F.normalize(self.image_head(images), dim=1)

    def encode_texts(
        self, texts: Float[Tensor, "texts text_dim"], lengths: Tensor | None = None
    ) -> Float[Tensor, "texts dim"]:
        """Caption vectors of unit length. Text features have no length: ``lengths`` is not used."""
        return F.normalize(self.text_head(texts), dim=1)

    def load_released(self, path: Path | str) -> "TowerHeads":
        """Load a ``.safetensors`` under our names; no authors released weights.

        Returns:
            The network itself.

        Raises:
            DataError: The file is missing, damaged, or its names or shapes differ from this network's.
        """
        load_strictly(self, read_checkpoint(path), path)
        return self


def linear_head(in_dim: int, dim: int, dropout: float) -> nn.Sequential:
    """A linear map of features that are brought to mean 0 and deviation 1, row by row, and dropped out.

    Args:
        in_dim: Width of the features.
        dim: Width of the result.
        dropout: Of the features, 0..1.
    """
    return nn.Sequential(nn.LayerNorm(in_dim, elementwise_affine=False), nn.Dropout(dropout), nn.Linear(in_dim, dim))
