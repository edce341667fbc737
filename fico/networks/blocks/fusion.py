"""Transformer layers that read a text while they look at an image, with the parameter names of BERT."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class _Attention(nn.Module):
    """Attention to a source of any width, then a residual sum and normalisation behind it."""

    def __init__(self, dim: int, heads: int, source_dim: int, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"the width of {dim} does not divide among {heads} heads")
        self.heads, self.dropout = heads, dropout
        maps = {"query": nn.Linear(dim, dim), "key": nn.Linear(source_dim, dim), "value": nn.Linear(source_dim, dim)}
        self.self = nn.ModuleDict(maps)
        self.output = _Residual(dim, dim, dropout)

    def forward(
        self,
        states: Float[Tensor, "pairs words dim"],
        source: Float[Tensor, "sources places wide"],
        mask: Bool[Tensor, "pairs 1 1 places"] | None = None,
    ) -> Float[Tensor, "pairs words dim"]:
        """One source may serve all pairs: its keys and values are then computed once."""
        query = self._by_head(self.self["query"](states))
        key, value = (
            self._by_head(self.self[name](source)).expand(len(states), -1, -1, -1) for name in ("key", "value")
        )
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
        normed: Tensor = self.output(mixed.transpose(1, 2).flatten(2), states)
        return normed

    def _by_head(self, values: Float[Tensor, "items places dim"]) -> Float[Tensor, "items heads places part"]:
        parts: Tensor = values.unflatten(2, (self.heads, -1))
        return parts.transpose(1, 2)


class _Residual(nn.Module):
    """Linear map, dropout, sum with what came in, normalisation."""

    def __init__(self, input_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(input_dim, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "items places wide"], states: Float[Tensor, "items places dim"]
    ) -> Float[Tensor, "items places dim"]:
        normed: Tensor = self.LayerNorm(self.dropout(self.dense(values)) + states)
        return normed


class FusionLayer(nn.Module):
    """Attention among the words, then from the words to the image, then a two-layer perceptron.

    Args:
        dim: Width of a word's state.
        heads: Attention heads.
        inner_dim: Width inside the perceptron.
        source_dim: Width of an image token.
        dropout: In attention, and in front of each sum, 0..1.
    """

    def __init__(self, dim: int, heads: int, inner_dim: int, source_dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = _Attention(dim, heads, dim, dropout)
        self.crossattention = _Attention(dim, heads, source_dim, dropout)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, inner_dim)})
        self.output = _Residual(inner_dim, dim, dropout)

    def forward(
        self,
        states: Float[Tensor, "pairs words dim"],
        source: Float[Tensor, "sources places wide"],
        is_word: Bool[Tensor, "pairs words"] | None = None,
    ) -> Float[Tensor, "pairs words dim"]:
        """New states of the words.

        Args:
            states: Of the words.
            source: Image tokens, one image per text or one for all.
            is_word: False at the padding, from which no state takes; None where there is none.
        """
        attended = self.attention(states, states, None if is_word is None else is_word[:, None, None])
        looked = self.crossattention(attended, source)
        made: Tensor = self.output(F.gelu(self.intermediate["dense"](looked)), looked)
        return made


def match_head(dim: int) -> nn.Sequential:
    """Perceptron from a pair's first state to the logits of no match and of a match."""
    return nn.Sequential(nn.Linear(dim, 2 * dim), nn.LayerNorm(2 * dim), nn.GELU(), nn.Linear(2 * dim, 2))


def one_source(image_states: Float[Tensor, "pairs places wide"]) -> Float[Tensor, "sources places wide"]:
    """A single row where all rows are the same memory, as `fico.Rerank` gives them; otherwise all."""
    is_one = len(image_states) > 1 and image_states.stride(0) == 0
    return torch.narrow(image_states, 0, 0, 1) if is_one else image_states
