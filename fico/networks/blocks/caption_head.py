"""Captioning head of BLIP-2, for the language modelling loss of its training."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.attention import word_mask


class CaptionHead(nn.Module):
    """Language modelling head: word states to logits over the vocabulary, tied to the word embeddings.

    Args:
        config: Of the Q-Former, as transformers has it.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, states: Float[Tensor, "texts words dim"], words: Float[Tensor, "vocabulary dim"]
    ) -> Float[Tensor, "texts words vocabulary"]:
        """Logits of the word after each state."""
        return F.linear(self.norm(F.gelu(self.dense(states))), words, self.bias)


def caption_mask(
    texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None, queries: int
) -> Bool[Tensor, "texts 1 tokens tokens"]:
    """Attention mask: queries attend to queries, a word to the queries and to the words up to itself.

    Args:
        texts: Word pieces.
        lengths: Of each text; None: all are as long as ``texts`` is wide.
        queries: Learnt queries in front of the words.
    """
    words = texts.shape[1]
    mask = torch.ones(queries + words, queries + words, dtype=torch.bool, device=texts.device).tril()
    mask[:queries, :queries] = True
    mask = mask.expand(len(texts), 1, -1, -1).clone()
    is_word = word_mask(words, lengths)
    if is_word is not None:
        mask[..., queries:] &= is_word[:, None, None, :]
    return mask
