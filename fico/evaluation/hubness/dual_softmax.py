"""Dual inverted softmax: scores normalised over a bank of queries and a bank of items, as a bias of each item."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from fico.errors import DataError, UsageError
from fico.evaluation.hubness.biased_rows import Normalised, biased_rows, comparable_rows
from fico.util.compute.precision import full_precision

_BLOCK_SCORES = 2**22  # scores with both banks that are held at a time


def dual_softmax_bias(
    query_bank_scores: Float[Tensor, "bank_queries items"],
    item_bank_scores: Float[Tensor, "bank_items items"],
    *,
    temperature: float,
) -> Float[Tensor, " items"]:
    r"""What is taken from every score of an item so that its queries rank as by the dual inverted softmax.

    That is, with temperature ``t``, for query ``q`` and item ``g`` with banks ``Q`` and ``G``, the product
    ``exp(s(q, g) / t) / sum_Q exp(s(q', g) / t) * exp(s(q, g) / t) / sum_G exp(s(g', g) / t)``. Half its logarithm
    times ``t`` is ``s(q, g)`` less the mean of two soft maxima ``t log sum exp(s / t)``. Means take the place of the
    sums here, which differs by the same constant for all items, so that the bias goes from the mean score (high ``t``)
    to the highest (low ``t``).

    Args:
        query_bank_scores: Of the items with queries that are not evaluated, those of the training split.
        item_bank_scores: Of the items with other items, those of the training split.
        temperature: Of both softmaxes, in units of the score; ``1 / beta``.

    Returns:
        In float64. An item's bias depends on its column alone, so that blocks of columns have the biases of the whole.

    Raises:
        DataError: A bank is empty, or the two have scores of different numbers of items.
        UsageError: The temperature is not positive.

    Source:
        Wang et al., Balance Act: Mitigating Hubness in Cross-Modal Retrieval with Query and Gallery Banks, EMNLP 2023,
        arXiv 2310.11612, DualIS.

    Differs:
        One temperature serves both banks; the authors' code has one ``beta`` for each.
    """
    if not 0 < temperature < math.inf:
        raise UsageError(f"softmax_temperature={temperature} must be a positive number, such as 0.1")
    banks = {"queries": query_bank_scores, "items": item_bank_scores}
    if empty := [name for name, scores in banks.items() if not len(scores)]:
        raise DataError(f"the bank has no {empty[0]}; give those of the training split")
    items = [scores.shape[1] for scores in banks.values()]
    if items[0] != items[1]:
        raise DataError(f"the banks have scores of {items[0]} and {items[1]} items; give both those of the same items")
    return sum(_soft_maximum(scores.double(), temperature) for scores in banks.values()) / 2  # type: ignore[return-value]


def _soft_maximum(scores: Float[Tensor, "bank items"], temperature: float) -> Float[Tensor, " items"]:
    """``t log mean exp(s / t)``, accurate at temperatures far below and above the scores."""
    highest = scores.amax(dim=0)
    return highest + temperature * torch.expm1((scores - highest) / temperature).mean(dim=0).log1p()


def dual_softmax_rows(
    images: Tensor, texts: Tensor, bank: tuple[Tensor, Tensor], *, similarity: Normalised, temperature: float
) -> tuple[Float[Tensor, "images wide"], Float[Tensor, "captions wide"]]:
    """Embeddings of both sides with two further dimensions, so that their inner product ranks with the biases.

    Args:
        images: ``images dim``.
        texts: ``captions dim``.
        bank: Images and captions of the training split. Each is the bank of queries of one direction and the bank of
            items of the other.
        similarity: ``cosine`` or ``inner``.
        temperature: Of both softmaxes.

    Raises:
        DataError: A bank is empty.
        UsageError: Another similarity, or a temperature that is not positive.
    """
    sides, (bank_images, bank_texts) = comparable_rows(images, texts, bank, similarity)
    image_bias = _bias(sides[0], bank_texts, bank_images, temperature)
    text_bias = _bias(sides[1], bank_images, bank_texts, temperature)
    return biased_rows(*sides, image_bias, text_bias)


def _bias(items: Tensor, query_bank: Tensor, item_bank: Tensor, temperature: float) -> Float[Tensor, " items"]:
    """Bias of each item, in blocks of items."""
    step = max(1, _BLOCK_SCORES // (len(query_bank) + len(item_bank) + 1))
    with full_precision():
        blocks = [
            dual_softmax_bias(query_bank @ block.T, item_bank @ block.T, temperature=temperature)
            for block in items.split(step)
        ]
    return torch.cat(blocks)
