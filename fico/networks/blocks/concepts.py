"""Concepts of MITH: one per bit, read from a global vector, and from the tokens that are nearest to each."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ConceptMLP(nn.Module):
    """Global concept learning: pre-norm residual perceptrons, then one concept score per bit.

    Args:
        dim: Width of a vector.
        bits: Number of concepts.
        layers: Residual perceptrons, each four times as wide inside.
    """

    def __init__(self, dim: int, bits: int, layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
            for _ in range(layers)
        )
        self.concepts = nn.Linear(dim, bits, bias=False)

    def forward(
        self, vectors: Float[Tensor, "*items dim"]
    ) -> tuple[Float[Tensor, "*items dim"], Float[Tensor, "*items bits"]]:
        """Refined vectors, and their concept scores in -1..1."""
        for layer in self.layers:
            vectors = vectors + layer(vectors)
        return vectors, self.concepts(vectors).tanh()


def aggregate_tokens(
    tokens: Float[Tensor, "items tokens dim"],
    scores: Float[Tensor, "items tokens bits"],
    top_k: int,
    mask: Bool[Tensor, "items tokens"] | None = None,
) -> Float[Tensor, "items bits dim"]:
    """Localised token aggregation: for each concept the mean of the tokens that chose it, weighted by a softmax.

    Args:
        tokens: Vectors to average.
        scores: Of each token with each concept.
        top_k: A token chooses its best concepts with a score above 0, so many at most; ties at the last are kept.
        mask: True at the real tokens, where they are padded.

    Returns:
        One vector per concept; zeros where no token chose it.
    """
    last = scores.topk(min(top_k, scores.shape[2]), dim=2).values[..., -1:]
    is_chosen = (scores > 0) & (scores >= last)
    if mask is not None:
        is_chosen = is_chosen & mask.unsqueeze(2)
    weights = scores.masked_fill(~is_chosen, -torch.inf).softmax(dim=1)
    weights = weights.masked_fill(~is_chosen.any(dim=1, keepdim=True), 0)
    return weights.transpose(1, 2) @ tokens


class ConceptTransformer(nn.Module):
    """Local concept transforming: self-attention among the concept vectors of an item, then one linear map per bit.

    Args:
        dim: Width of a concept vector, even.
        bits: Number of concepts.
        layers: Pre-norm transformer layers, as in CLIP.
        heads: Attention heads.
    """

    positions: Tensor

    def __init__(self, dim: int, bits: int, layers: int = 2, heads: int = 8) -> None:
        super().__init__()
        self.register_buffer("positions", _sinusoids(bits, dim) / math.sqrt(dim), persistent=False)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, dropout=0.0, activation=quick_gelu, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.weight = nn.Parameter(torch.empty(bits, dim).uniform_(-1 / math.sqrt(dim), 1 / math.sqrt(dim)))
        self.bias = nn.Parameter(torch.empty(bits).uniform_(-1 / math.sqrt(dim), 1 / math.sqrt(dim)))

    def forward(
        self, concepts: Float[Tensor, "items bits dim"]
    ) -> tuple[Float[Tensor, "items bits dim"], Float[Tensor, "items bits"]]:
        """Concept vectors in the context of the others, and codes in -1..1."""
        states = concepts + self.positions
        for layer in self.layers:
            states = layer(states)
        return states, torch.tanh((states * self.weight).sum(dim=2) + self.bias)


def quick_gelu(values: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    """CLIP's approximation of the GELU."""
    return values * torch.sigmoid(1.702 * values)


def _sinusoids(rows: int, dim: int) -> Float[Tensor, "rows dim"]:
    angles = torch.arange(rows).unsqueeze(1) * torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
