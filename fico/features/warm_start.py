"""Warm start of the networks that read regions and words, from linear CCA of the training pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.features.base import ModelInputs
from fico.features.text.tfidf import TfIdfSpace
from fico.networks.blocks.region_scale import RegionScale
from fico.networks.cca import CCA, Regularisation

BLOCK = 64  # images whose regions are in memory at once


@dataclass(frozen=True, slots=True)
class CCAStart:
    """Starts the region projection and the word embedding of SCAN, IMRAM or VSRN in the common space of linear CCA.

    CCA is fitted on pairs of an image's mean region and a caption's tf-idf, both of the training split alone. Its image
    directions become the projection of the regions, and a word's vector is its inverse document frequency times its
    row of the text directions: word vectors of the training captions in the place of random ones. With few pairs a
    training from random weights learns them by heart before both sides meet.

    Args:
        image_ridge: As for `Regularisation`.
        text_ridge: As for `Regularisation`.
        power: As for `Regularisation`.
        components: Principal components of the mean regions, and singular directions of tf-idf, that CCA is fitted on.
        word_deviation: Standard deviation of the word vectors; words that CCA does not know keep their random ones.

    Differs:
        The authors of these models start from random weights.
    """

    image_ridge: float = 3.0
    text_ridge: float = 1.0
    power: float = 1.0
    components: int = 400
    word_deviation: float = 0.1

    @torch.no_grad()
    def apply(self, network: Any, train: RetrievalSplit, inputs: ModelInputs) -> str:
        """Set the first weights of a network, and its `RegionScale` where it has one.

        Args:
            network: A `SCAN`, `IMRAM` or `VSRN`.
            train: The training split.
            inputs: Among them regions and words of that split.

        Returns:
            What was done, in one sentence.

        Raises:
            UsageError: The network reads no regions and words, or is wider than the features allow.
        """
        projection, embedding = _parts(network)
        vocabulary = inputs.vocabulary
        if vocabulary is None:
            raise UsageError("model.warm_start sets the vectors of inputs.text=words; set model.warm_start=null")
        mean, deviation, images = _statistics(inputs.splits["train"].images)
        if isinstance(scale := network.img_enc.scale, RegionScale):
            scale.fit(mean, deviation)
            images = scale(images)
        space = TfIdfSpace(train.tokens, self.components)
        cca = self._fitted(images, space, train, dims=max(projection.out_features, embedding.embedding_dim))
        _set_projection(projection, cca)
        rows = torch.tensor([int(vocabulary.encode([word])[1]) for word in space.words])
        vectors = torch.from_numpy(space.word_vectors) @ cca.text_directions[:, : embedding.embedding_dim]
        embedding.weight[rows] = vectors / vectors.std() * self.word_deviation
        return f"warm start: {cca.dims} directions of linear CCA of mean regions and {space.origin}"

    def _fitted(self, images: Tensor, space: TfIdfSpace, train: RetrievalSplit, dims: int) -> CCA:
        texts = torch.from_numpy(space.vectors(train.tokens))
        least = min(images.shape[1], texts.shape[1], self.components)
        if dims > least:
            raise UsageError(f"model.warm_start has {least} directions for a width of {dims}; take a smaller embed_dim")
        cca = CCA(images.shape[1], texts.shape[1], dims, components=least)
        cca.regularisation = Regularisation(dims, self.image_ridge, self.text_ridge, self.power)
        cca.update(images[torch.from_numpy(np.asarray(train.correspondence.caption_to_image))], texts)
        cca.solve()
        return cca


def _parts(network: Any) -> tuple[nn.Linear, nn.Embedding]:
    projection = getattr(getattr(network, "img_enc", None), "fc", None)
    embedding = getattr(getattr(network, "txt_enc", None), "embed", None)
    if not isinstance(projection, nn.Linear) or not isinstance(embedding, nn.Embedding):
        raise UsageError(
            f"model.warm_start sets a linear map of regions and an embedding of words, but {type(network).__name__} "
            "has no such (with weight_norm it has not either); set model.warm_start=null"
        )
    return projection, embedding


def _set_projection(projection: nn.Linear, cca: CCA) -> None:
    """The image directions, as large as the random weights were, around the mean image."""
    directions = cca.image_directions[:, : projection.out_features]
    weight = directions.T * (projection.weight.norm() / directions.norm())
    projection.weight.copy_(weight)
    projection.bias.copy_(-weight @ cca.image_mean)


def _statistics(images: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and deviation over all regions, and the mean region of each image; the array may be memory-mapped."""
    means, squares = [], []
    for start in range(0, len(images), BLOCK):
        block = torch.from_numpy(np.array(images[start : start + BLOCK]))
        means.append(block.mean(dim=1))
        squares.append(block.double().square().mean(dim=1))
    regions = torch.cat(means)
    mean = regions.double().mean(dim=0)
    variance = (torch.cat(squares).mean(dim=0) - mean.square()).clamp(min=0)
    return mean.float(), variance.sqrt().float(), regions
