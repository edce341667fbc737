"""The captioning side of BLIP-2, the third of its training losses."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.attention import word_mask


class CaptionHead(nn.Module):
    """From states to logits over the vocabulary, whose table of words gives the last map.

    Args:
        config: Of the transformer of queries and texts, as transformers has it.
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
) -> Bool[Tensor, "texts 1 places places"]:
    """Who may look at whom: queries at queries, a word at the queries and at the words up to itself.

    Args:
        texts: Word pieces.
        lengths: Of each text; None: all are as long as ``texts`` is wide.
        queries: Places in front of the words.
    """
    words = texts.shape[1]
    mask = torch.ones(queries + words, queries + words, dtype=torch.bool, device=texts.device).tril()
    mask[:queries, :queries] = True
    mask = mask.expand(len(texts), 1, -1, -1).clone()
    is_word = word_mask(words, lengths)
    if is_word is not None:
        mask[..., queries:] &= is_word[:, None, None, :]
    return mask


def caption_loss(
    logits: Float[Tensor, "texts words vocabulary"],
    texts: Int64[Tensor, "texts words"],
    lengths: Int64[Tensor, " texts"] | None = None,
    smoothing: float = 0.1,
) -> Float[Tensor, ""]:
    """Cross-entropy of each word piece after the first, the mean over all of them, in nats.

    Args:
        logits: Of the piece after each.
        texts: Word pieces, the end marker counted.
        lengths: Of each text.
        smoothing: Share of the target that goes to all pieces alike.
    """
    is_word = word_mask(texts.shape[1], lengths)
    said = texts if is_word is None else texts.masked_fill(~is_word, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), said[:, 1:].flatten(), label_smoothing=smoothing)
