"""Fusion layers: a text encoder with cross-attention to image tokens, with the parameter names of BERT."""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.bert import BertOutput
from fico.networks.blocks.heads import check_heads, merge_heads, split_heads


class _Attention(nn.Module):
    """Multi-head attention to a context of any width, with the residual sum and normalisation after it."""

    def __init__(self, dim: int, heads: int, context_dim: int, dropout: float) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads, self.dropout = heads, dropout
        widths = {"query": dim, "key": context_dim, "value": context_dim}
        self.self = nn.ModuleDict({name: nn.Linear(width, dim) for name, width in widths.items()})
        self.output = BertOutput(dim, dim, dropout, _norm(dim))

    def key_and_value(
        self, context: Float[Tensor, "contexts tokens context_dim"]
    ) -> tuple[Float[Tensor, "contexts heads tokens part"], Float[Tensor, "contexts heads tokens part"]]:
        """Of a context, by head."""
        return split_heads(self.self["key"](context), self.heads), split_heads(self.self["value"](context), self.heads)

    def forward(
        self,
        states: Float[Tensor, "pairs words dim"],
        key: Float[Tensor, "contexts heads tokens part"],
        value: Float[Tensor, "contexts heads tokens part"],
        mask: Bool[Tensor, "pairs 1 1 tokens"] | None = None,
    ) -> Float[Tensor, "pairs words dim"]:
        """Contexts serve as many pairs each, those of the first one first, which attend to it as one sequence."""
        query = split_heads(self.self["query"](states.reshape(len(key), -1, states.shape[2])), self.heads)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)
        normed: Tensor = self.output(merge_heads(mixed).view(states.shape), states)
        return normed


class FusionLayer(nn.Module):
    """Post-norm transformer layer: self-attention of the words, cross-attention to the image, perceptron.

    Args:
        dim: Width of a word's state.
        heads: Attention heads.
        inner_dim: Width inside the perceptron.
        context_dim: Width of an image token.
        dropout: Of attention weights and of each residual branch, 0..1.
    """

    def __init__(self, dim: int, heads: int, inner_dim: int, context_dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = _Attention(dim, heads, dim, dropout)
        self.crossattention = _Attention(dim, heads, context_dim, dropout)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, inner_dim)})
        self.output = BertOutput(inner_dim, dim, dropout, _norm(dim))

    def image_keys(
        self, image_tokens: Float[Tensor, "images tokens context_dim"]
    ) -> Float[Tensor, "images two heads tokens part"]:
        """Keys and values of the cross-attention, which depend on the image alone."""
        return torch.stack(self.crossattention.key_and_value(image_tokens), dim=1)

    def forward(
        self,
        states: Float[Tensor, "pairs words dim"],
        image_keys: Float[Tensor, "images two heads tokens part"],
        is_word: Bool[Tensor, "pairs words"] | None = None,
    ) -> Float[Tensor, "pairs words dim"]:
        """Word states of the next layer.

        Args:
            states: Of the words; as many texts for every image, those of the first one first.
            image_keys: Of `image_keys`.
            is_word: False at the padding, which no word attends to; None without padding.
        """
        mask = None if is_word is None else is_word[:, None, None]
        attended = self.attention(states, *self.attention.key_and_value(states), mask)
        fused = self.crossattention(attended, *image_keys.unbind(dim=1))
        output: Tensor = self.output(F.gelu(self.intermediate["dense"](fused)), fused)
        return output


def match_head(dim: int) -> nn.Sequential:
    """Image-text matching head: the first word state of a pair to the logits of no match and of a match."""
    return nn.Sequential(nn.Linear(dim, 2 * dim), nn.LayerNorm(2 * dim), nn.GELU(), nn.Linear(2 * dim, 2))


def without_autocast(values: Tensor) -> AbstractContextManager[object]:
    """While it is open, what is computed on the device of the values keeps its dtype."""
    kind = values.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def head_logits(head: nn.Module, states: Float[Tensor, "*states dim"]) -> Float[Tensor, "*states 2"]:
    """Logits of a matching head, in the precision of its weights under autocast too: in half, candidates would tie."""
    with without_autocast(states):
        logits: Tensor = head(states.to(next(head.parameters()).dtype))
        return logits


def unexpanded(image_states: Float[Tensor, "pairs tokens dim"]) -> Float[Tensor, "contexts tokens dim"]:
    """The first row alone where all rows are one expanded row (stride 0), as `fico.Rerank` passes them."""
    is_expanded = len(image_states) > 1 and image_states.stride(0) == 0
    return torch.narrow(image_states, 0, 0, 1) if is_expanded else image_states


def _norm(dim: int) -> nn.LayerNorm:
    return nn.LayerNorm(dim, eps=1e-12)  # of BERT
