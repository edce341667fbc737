"""The transformer encoder of BERT, with the parameter names of the first public releases."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

_MASKED = -10000.0  # added to the affinity of a padding token, as in the first releases


class BertNorm(nn.Module):
    """Layer normalisation, epsilon 1e-12 inside the root, with the parameters called ``gamma`` and ``beta``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, states: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """Normalise each state over its values."""
        return F.layer_norm(states, self.gamma.shape, self.gamma, self.beta, eps=1e-12)


class BertSelfAttention(nn.Module):
    """Each state takes from all states of its item, by several heads.

    Args:
        dim: Width of a state, a multiple of ``heads``.
        heads: Number of heads.
        dropout: Share of attention dropped in training, 0..1.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"the width of {dim} does not divide among {heads} heads")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(
        self, states: Float[Tensor, "items places dim"], bias: Float[Tensor, "items 1 1 places"] | None
    ) -> Float[Tensor, "items places dim"]:
        """Mix states; ``bias`` is added to the affinity with each place."""
        query, key, value = (self._by_head(part(states)) for part in (self.query, self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, bias, dropout_p=dropout)
        return mixed.transpose(1, 2).flatten(2)

    def _by_head(self, values: Float[Tensor, "items places dim"]) -> Float[Tensor, "items heads places part"]:
        parts: Tensor = values.unflatten(2, (self.heads, -1))
        return parts.transpose(1, 2)


class _Residual(nn.Module):
    """Linear map, dropout, sum with what came in, normalisation."""

    def __init__(self, input_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(input_dim, dim)
        self.LayerNorm = BertNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "items places wide"], states: Float[Tensor, "items places dim"]
    ) -> Float[Tensor, "items places dim"]:
        normed: Tensor = self.LayerNorm(self.dropout(self.dense(values)) + states)
        return normed


class BertLayer(nn.Module):
    """Attention and a two-layer perceptron, each with a residual sum and normalisation behind it.

    Args:
        dim: Width of a state.
        heads: Attention heads.
        inner_dim: Width inside the perceptron.
        dropout: In attention, and in front of both sums, 0..1.
    """

    def __init__(self, dim: int, heads: int, inner_dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": BertSelfAttention(dim, heads, dropout), "output": _Residual(dim, dim, dropout)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, inner_dim)})
        self.output = _Residual(inner_dim, dim, dropout)

    def forward(
        self, states: Float[Tensor, "items places dim"], bias: Float[Tensor, "items 1 1 places"] | None = None
    ) -> Float[Tensor, "items places dim"]:
        """New states. ``bias`` is added to the affinity with each place; none where all places count."""
        attended = self.attention["output"](self.attention["self"](states, bias), states)
        made: Tensor = self.output(F.gelu(self.intermediate["dense"](attended)), attended)
        return made


class Bert(nn.Module):
    """Word pieces to the states of the last layer. The pooler of the releases is left out.

    Args:
        vocab_size: Number of word pieces; id 0 is the padding.
        dim: Width of a state; 768 in BERT-base.
        layers: Number of layers.
        heads: Attention heads.
        inner_dim: Width inside the perceptrons.
        positions: Longest text, in word pieces.
        dropout: Everywhere in training, 0..1.

    Source:
        Devlin et al., NAACL 2019.
    """

    def __init__(
        self,
        vocab_size: int = 30522,
        dim: int = 768,
        layers: int = 12,
        heads: int = 12,
        inner_dim: int = 3072,
        positions: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(vocab_size, dim),
                "position_embeddings": nn.Embedding(positions, dim),
                "token_type_embeddings": nn.Embedding(2, dim),
                "LayerNorm": BertNorm(dim),
                "dropout": nn.Dropout(dropout),
            }
        )
        self.encoder = nn.ModuleDict(
            {"layer": nn.Sequential(*(BertLayer(dim, heads, inner_dim, dropout) for _ in range(layers)))}
        )

    def forward(
        self, words: Int64[Tensor, "texts words"], is_word: Bool[Tensor, "texts words"]
    ) -> Float[Tensor, "texts words dim"]:
        """States of the last layer, those of the padding too.

        Args:
            words: Word pieces, padded with 0. All are of the first segment.
            is_word: False at the padding, from which no state takes.
        """
        part = self.embeddings
        place = torch.arange(words.shape[1], device=words.device)
        summed = part["word_embeddings"](words) + part["position_embeddings"](place)
        summed = summed + part["token_type_embeddings"](torch.zeros_like(words))
        states: Tensor = part["dropout"](part["LayerNorm"](summed))
        bias = (~is_word).to(states.dtype)[:, None, None, :] * _MASKED
        for layer in self.encoder["layer"].children():
            states = layer(states, bias)
        return states
