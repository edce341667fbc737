"""The first stage of a search with a trained run: nearest embeddings, or the scores of all pairs."""

from typing import Any

import torch
from torch import Tensor

from fico.scoring.matrix import score_matrix
from fico.search.brute_force import top_k
from fico.search.exact import ExactSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.similarity import Similarity
from fico.types import EncodedBatch, Ranking

ExactIndex = ExactSearch | PopcountSearch


def exact_index(items: Tensor, similarity: Similarity, bits: int | None) -> ExactIndex:
    """An exact index of embeddings, or of codes by popcount of whole bytes."""
    popcount = bits is not None and bits % 8 == 0 and similarity == "hamming"
    index = PopcountSearch(bits) if popcount else ExactSearch(similarity, bits)
    index.add(items)
    index.search(items[:1], 1)  # loads the compiled kernels, so that the first search is as fast as the next
    return index


def best_images(scorer: Any, images: Tensor, texts: Tensor, lengths: Tensor | None, k: int) -> Ranking:
    """The k images of each text that a pair scorer gives the highest scores."""
    return top_k(_scores(scorer, images, texts, lengths).T.contiguous(), k)


def best_texts(scorer: Any, images: Tensor, texts: Tensor, lengths: Tensor | None, k: int) -> Ranking:
    """The k texts of each image that a pair scorer gives the highest scores."""
    return top_k(_scores(scorer, images, texts, lengths), k)


def _scores(scorer: Any, images: Tensor, texts: Tensor, lengths: Tensor | None) -> Tensor:
    """``images texts``."""
    batch = EncodedBatch(
        images=images,
        image_ids=torch.arange(len(images)),
        texts=texts,
        text_ids=torch.arange(len(texts)),
        text_lengths=lengths,
    )
    return torch.from_numpy(score_matrix(scorer, batch, progress=False))
