"""Multiway transformer: pre-norm layers with one set of experts per modality, under the released parameter names."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.heads import check_heads, merge_heads, split_heads

Expert = Literal["A", "B"]  # image tokens, text tokens
EPS = 1e-5


def experts(build: Callable[[], nn.Module]) -> nn.ModuleDict:
    """Two modules of the same form, one per modality."""
    return nn.ModuleDict({"A": build(), "B": build()})


class MultiwayAttention(nn.Module):
    """Multi-head self-attention with a layer normalisation of the merged heads (sub-LN).

    Args:
        dim: Width of a state, a multiple of ``heads``.
        heads: Number of heads.

    Raises:
        ValueError: The width does not divide among the heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.q_proj = experts(lambda: nn.Linear(dim, dim))
        self.k_proj = experts(lambda: nn.Linear(dim, dim))
        self.v_proj = experts(lambda: nn.Linear(dim, dim))
        self.inner_attn_ln = experts(lambda: nn.LayerNorm(dim, eps=EPS))
        self.out_proj = experts(lambda: nn.Linear(dim, dim))

    def forward(
        self, states: Float[Tensor, "items tokens dim"], expert: Expert, keep: Bool[Tensor, "items 1 1 tokens"] | None
    ) -> Float[Tensor, "items tokens dim"]:
        """Attended states; tokens where ``keep`` is False are not attended to."""
        parts = (part[expert](states) for part in (self.q_proj, self.k_proj, self.v_proj))
        query, key, value = (split_heads(part, self.heads) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, keep)
        out: Tensor = self.out_proj[expert](self.inner_attn_ln[expert](merge_heads(mixed)))
        return out


class _Perceptron(nn.Module):
    """Two linear layers with exact GELU and a layer normalisation (sub-LN) between them."""

    def __init__(self, dim: int, inner_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, inner_dim)
        self.ffn_layernorm = nn.LayerNorm(inner_dim, eps=EPS)
        self.fc2 = nn.Linear(inner_dim, dim)

    def forward(self, states: Float[Tensor, "items tokens dim"]) -> Float[Tensor, "items tokens dim"]:
        output: Tensor = self.fc2(self.ffn_layernorm(F.gelu(self.fc1(states))))
        return output


class MultiwayLayer(nn.Module):
    """Pre-norm transformer layer: self-attention, then a perceptron, with stochastic depth.

    Args:
        dim: Width of a state.
        heads: Attention heads.
        inner_dim: Width inside the perceptron.
        drop_path: Probability that an item skips a residual branch in training, 0..1.
    """

    def __init__(self, dim: int, heads: int, inner_dim: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.self_attn = MultiwayAttention(dim, heads)
        self.self_attn_layer_norm = experts(lambda: nn.LayerNorm(dim, eps=EPS))
        self.ffn = experts(lambda: _Perceptron(dim, inner_dim))
        self.final_layer_norm = experts(lambda: nn.LayerNorm(dim, eps=EPS))

    def forward(
        self, states: Float[Tensor, "items tokens dim"], expert: Expert, keep: Bool[Tensor, "items 1 1 tokens"] | None
    ) -> Float[Tensor, "items tokens dim"]:
        """States of the next layer."""
        mixed = self.self_attn(self.self_attn_layer_norm[expert](states), expert, keep)
        states = states + self._drop_path(mixed)
        return states + self._drop_path(self.ffn[expert](self.final_layer_norm[expert](states)))

    def _drop_path(self, branch: Float[Tensor, "items tokens dim"]) -> Float[Tensor, "items tokens dim"]:
        """Zero the branch of some items and scale up the others, so that the expectation stays."""
        if not self.training or self.drop_path == 0:
            return branch
        is_kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * is_kept.to(branch.dtype) / (1 - self.drop_path)


class PositionTables(nn.Module):
    """Learnt position embeddings, one table per modality.

    Args:
        dim: Width of a state.
        image_rows: Rows for the tokens of an image.
        text_rows: Rows for those of a text.
    """

    def __init__(self, dim: int, image_rows: int, text_rows: int) -> None:
        super().__init__()
        self.A = nn.Embedding(image_rows, dim)
        self.B = nn.Embedding(text_rows, dim)

    def of(self, expert: Expert) -> nn.Embedding:
        """The table of one modality."""
        return self.A if expert == "A" else self.B


class MultiwayEncoder(nn.Module):
    """Position embeddings, multiway layers and a final normalisation; an input is all of one modality.

    Args:
        dim: Width of a state.
        layers: Number of layers.
        heads: Attention heads.
        inner_dim: Width inside the perceptrons.
        positions: Rows of the position tables of images and of texts, the two unused ones in front counted.
        drop_path: Of the last layer; it grows linearly from 0 at the first.
    """

    OFFSET = 2  # the first row of a position table that is in use

    def __init__(
        self, dim: int, layers: int, heads: int, inner_dim: int, positions: tuple[int, int], drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.embed_positions = PositionTables(dim, *positions)
        rates = torch.linspace(0, drop_path, layers, device="cpu").tolist()
        self.layers = nn.ModuleList(MultiwayLayer(dim, heads, inner_dim, rate) for rate in rates)
        self.layer_norm = experts(lambda: nn.LayerNorm(dim, eps=EPS))

    def forward(
        self,
        tokens: Float[Tensor, "items tokens dim"],
        expert: Expert,
        is_token: Bool[Tensor, "items tokens"] | None = None,
    ) -> Float[Tensor, "items tokens dim"]:
        """States of the last layer, normalised.

        Args:
            tokens: Embedded tokens without positions.
            expert: Which set of experts.
            is_token: False at the padding, which no token attends to; None without padding.
        """
        positions = torch.arange(self.OFFSET, self.OFFSET + tokens.shape[1], device=tokens.device)
        states = tokens + self.embed_positions.of(expert)(positions)
        keep = None
        if is_token is not None:
            states = states * is_token.unsqueeze(2).to(states.dtype)
            keep = is_token[:, None, None, :]
        for layer in self.layers:
            states = layer(states, expert, keep)
        normed: Tensor = self.layer_norm[expert](states)
        return normed
