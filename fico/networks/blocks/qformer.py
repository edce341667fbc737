"""BLIP-2's Q-Former over lists of texts an image: keys and values of an image serve all of its texts."""

from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from fico.networks.blocks.heads import merge_heads, split_heads


def image_keys(
    qformer: Any, image_states: Float[Tensor, "images tokens wide"]
) -> Float[Tensor, "images layers two heads tokens part"]:
    """Keys and values of every layer with cross-attention, which depend on the image alone.

    Args:
        qformer: Transformers' ``Blip2QFormerModel``.
        image_states: Of the image encoder.
    """
    blocks = [layer.crossattention.attention for layer in qformer.encoder.layer if layer.has_cross_attention]
    sides = [(block.key(image_states), block.value(image_states)) for block in blocks]
    heads = blocks[0].num_attention_heads
    return torch.stack([torch.stack([split_heads(part, heads) for part in side], dim=1) for side in sides], dim=1)


def joint_states(
    qformer: Any,
    together: Float[Tensor, "pairs tokens dim"],
    keys: Float[Tensor, "images layers two heads image_tokens part"],
    queries: int,
    is_token: Bool[Tensor, "pairs tokens"] | None,
) -> Float[Tensor, "pairs queries dim"]:
    """States of the queries after attention to the words of each text and to its image.

    The queries of all texts of an image attend to it in one product, as if they were one long sequence.

    Args:
        qformer: Transformers' ``Blip2QFormerModel``, in evaluation mode: there is no dropout here.
        together: Embeddings of queries and word pieces; as many pairs for every image, those of the first one first.
        keys: Of `image_keys`.
        queries: Tokens in front that are learnt queries.
        is_token: False at padding; None without.
    """
    states, mask = qformer.layernorm(together), None if is_token is None else is_token[:, None, None]
    crossed = 0
    for number, layer in enumerate(qformer.encoder.layer):
        block = layer.attention.attention
        key, value = (split_heads(part(states), block.num_attention_heads) for part in (block.key, block.value))
        states = _attended(layer.attention, states, key, value, mask)
        query_states, words = states[:, :queries], states[:, queries:]
        if layer.has_cross_attention:
            of_image = query_states.reshape(len(keys), -1, query_states.shape[2])
            key, value = keys[:, crossed].unbind(dim=1)
            query_states = _attended(layer.crossattention, of_image, key, value, None).view(query_states.shape)
            crossed += 1
        query_states = cast(Tensor, layer.feed_forward_chunk_query(query_states))
        if number + 1 == len(qformer.encoder.layer):
            return query_states  # nothing reads the words of the last layer
        states = torch.cat([query_states, layer.feed_forward_chunk(words)], dim=1)
    raise ValueError("a Q-Former has at least one layer")


def _attended(attention: Any, states: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """An attention block of the library's, with its residual sum and norm, on keys and values given."""
    query = split_heads(attention.attention.query(states), attention.attention.num_attention_heads)
    mixed = F.scaled_dot_product_attention(query, key, value, mask)
    normed: Tensor = attention.output(merge_heads(mixed), states)
    return normed
