"""The transformer encoder of BERT, with the parameter names of the first public releases."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.heads import check_heads, merge_heads, split_heads

_MASKED = -10000.0  # added to the logits of a padding token, as in the first releases


class BertNorm(nn.Module):
    """Layer normalisation, epsilon 1e-12 inside the root, with the parameters called ``gamma`` and ``beta``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, states: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """Normalise each state over its channels."""
        return F.layer_norm(states, self.gamma.shape, self.gamma, self.beta, eps=1e-12)


class BertSelfAttention(nn.Module):
    """Multi-head self-attention without the output projection.

    Args:
        dim: Width of a state, a multiple of ``heads``.
        heads: Number of heads.
        dropout: Dropout of attention weights in training, 0..1.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)

    def forward(
        self, states: Float[Tensor, "items tokens dim"], bias: Float[Tensor, "items 1 1 tokens"] | None
    ) -> Float[Tensor, "items tokens dim"]:
        """Attended states; ``bias`` is added to the logits of each key."""
        query, key, value = (split_heads(part(states), self.heads) for part in (self.query, self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, bias, dropout_p=dropout)
        return merge_heads(mixed)


class BertOutput(nn.Module):
    """The end of a post-norm residual branch: linear layer, dropout, residual sum, layer normalisation.

    Args:
        input_dim: Width inside the branch.
        dim: Width of a state.
        dropout: Before the sum, 0..1.
        norm: Layer normalisation of ``dim`` channels.
    """

    def __init__(self, input_dim: int, dim: int, dropout: float, norm: nn.Module) -> None:
        super().__init__()
        self.dense = nn.Linear(input_dim, dim)
        self.LayerNorm = norm
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "items tokens input_dim"], states: Float[Tensor, "items tokens dim"]
    ) -> Float[Tensor, "items tokens dim"]:
        """``norm(dropout(dense(values)) + states)``."""
        normed: Tensor = self.LayerNorm(self.dropout(self.dense(values)) + states)
        return normed


class BertLayer(nn.Module):
    """Post-norm transformer layer: self-attention, then a perceptron.

    Args:
        dim: Width of a state.
        heads: Attention heads.
        inner_dim: Width inside the perceptron.
        dropout: Of attention weights and of both residual branches, 0..1.
    """

    def __init__(self, dim: int, heads: int, inner_dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {"self": BertSelfAttention(dim, heads, dropout), "output": BertOutput(dim, dim, dropout, BertNorm(dim))}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, inner_dim)})
        self.output = BertOutput(inner_dim, dim, dropout, BertNorm(dim))

    def forward(
        self, states: Float[Tensor, "items tokens dim"], bias: Float[Tensor, "items 1 1 tokens"] | None = None
    ) -> Float[Tensor, "items tokens dim"]:
        """States of the next layer; ``bias`` is added to the attention logits of each key, none without padding."""
        attended = self.attention["output"](self.attention["self"](states, bias), states)
        output: Tensor = self.output(F.gelu(self.intermediate["dense"](attended)), attended)
        return output


class Bert(nn.Module):
    """BERT encoder: word pieces to the states of the last layer. The pooler of the releases is left out.

    Args:
        vocab_size: Number of word pieces; id 0 is the padding.
        dim: Width of a state; 768 in BERT-base.
        layers: Number of layers.
        heads: Attention heads.
        inner_dim: Width inside the perceptrons.
        positions: Longest text, in word pieces.
        dropout: Of embeddings, attention weights and residual branches in training, 0..1.

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
            is_word: False at the padding, which no token attends to.
        """
        part = self.embeddings
        positions = torch.arange(words.shape[1], device=words.device)
        summed = part["word_embeddings"](words) + part["position_embeddings"](positions)
        summed = summed + part["token_type_embeddings"](torch.zeros_like(words))
        states: Tensor = part["dropout"](part["LayerNorm"](summed))
        bias = (~is_word).to(states.dtype)[:, None, None, :] * _MASKED
        for layer in self.encoder["layer"].children():
            states = layer(states, bias)
        return states
