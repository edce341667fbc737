"""Nearest neighbour normalisation: a bias of each item against hubs, as further dimensions of an inner product."""

import torch
from jaxtyping import Float
from torch import Tensor

from fico.errors import UsageError
from fico.evaluation.hubness.biased_rows import Normalised, biased_rows, comparable_rows
from fico.util.compute.precision import full_precision

_PIECE_SCORES = 2**24  # scores with the bank that are held at a time


def nnn_bias_of_scores(scores: Float[Tensor, "bank items"], *, k: int, alpha: float) -> Float[Tensor, " items"]:
    """What is taken from every score of an item, from its scores with the queries of a bank; see `nnn_bias`.

    Raises:
        UsageError: The bank has fewer than ``k`` queries.
    """
    if k > len(scores):
        raise UsageError(f"nnn_k={k} neighbours are more than the {len(scores)} queries of the bank; lower nnn_k")
    return alpha * scores.T.topk(k, dim=1).values.mean(dim=1)


def nnn_bias(
    items: Float[Tensor, "items dim"], bank: Float[Tensor, "bank dim"], *, k: int, alpha: float
) -> Float[Tensor, " items"]:
    r"""What is taken from every score of an item: ``alpha`` times the mean of its ``k`` highest scores with a bank.

    Args:
        items: The gallery.
        bank: Queries that are not evaluated, those of the training split.
        k: Neighbours in the bank.
        alpha: Weight of the bias; 0 corrects nothing.

    Raises:
        UsageError: The bank has fewer than ``k`` queries.

    Source:
        Chowdhury et al., Nearest Neighbor Normalization Improves Multimodal Retrieval, EMNLP 2024, arXiv 2410.24114;
        equal to ``compute_alignment_means`` of the authors' package nnn-retrieval, times its ``alternate_weight``.
    """
    step = max(1, _PIECE_SCORES // len(bank))
    with full_precision():
        return torch.cat([nnn_bias_of_scores((each @ bank.T).T, k=k, alpha=alpha) for each in items.split(step)])


def nnn_rows(
    images: Tensor, texts: Tensor, bank: tuple[Tensor, Tensor], *, similarity: Normalised, k: int, alpha: float
) -> tuple[Float[Tensor, "images wide"], Float[Tensor, "captions wide"]]:
    """Embeddings of both sides with two further dimensions, so that their inner product ranks with the biases.

    Args:
        images: ``images dim``.
        texts: ``captions dim``.
        bank: Images and captions of the training split. Captions are biased by images, images by captions.
        similarity: ``cosine`` or ``inner``.
        k: Neighbours in the bank.
        alpha: Weight of the bias.

    Raises:
        UsageError: Another similarity, or a bank of fewer than ``k`` queries.
    """
    sides, (bank_images, bank_texts) = comparable_rows(images, texts, bank, similarity)
    image_bias = nnn_bias(sides[0], bank_texts, k=k, alpha=alpha)
    text_bias = nnn_bias(sides[1], bank_images, k=k, alpha=alpha)
    return biased_rows(*sides, image_bias, text_bias)
