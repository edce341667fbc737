"""Shift and scale of region features, fixed before the training."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RegionScale(nn.Module):
    """Brings each value of a region to mean 0 and deviation 1 of the training regions; the identity until `fit`.

    Args:
        dim: Width of the region features.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    def fit(self, mean: Float[Tensor, " dim"], deviation: Float[Tensor, " dim"]) -> None:
        """Take the statistics of the training regions; a value that hardly varies is shifted alone."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-4, deviation, 1.0))

    def forward(self, regions: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
        """Shifted and scaled regions."""
        return (regions - self.mean) / self.deviation
