"""SCAN: stacked cross-attention between regions and words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fico.networks.blocks.attention import (
    Aggregation,
    RawNorm,
    aggregate,
    attended_cosines,
    attention_weights,
    dot_products,
    word_mask,
)
from fico.networks.blocks.region_words import RegionEncoder, WordEncoder
from fico.networks.checkpoint_io.load import check_vocabulary, join_encoders, load_strictly, read_checkpoint

Direction = Literal["t2i", "i2t"]


class SCAN(nn.Module):
    """Stacked cross-attention network: a pair scorer over one vector per region and per word.

    Args:
        image_dim: Width of the region features; 2048 for bottom-up attention.
        vocab_size: Number of words, the four markers counted.
        embed_dim: Width of the vectors.
        word_dim: Width of the word embedding.
        direction: ``t2i``: words ask, regions are looked at; ``i2t``: the reverse.
        aggregation: How the cosines of the asking vectors become a score; see `aggregate`.
        lambda_softmax: Sharpness of the attention; published 9 for ``t2i``, 4 for ``i2t``.
        lambda_lse: Sharpness of ``LogSumExp``; published 6 for ``t2i``, for ``i2t`` 5 (Flickr30K) and 20 (COCO).
        norm: How inner products are normalised before the softmax; all published models: ``clipped_l2norm``.
        bidirectional: Read captions both ways; all published models do.
        weight_norm: Learn the norm of the image map's weight apart.

    Raises:
        ValueError: ``direction`` is unknown.

    Source:
        Lee et al., ECCV 2018, arXiv 1803.08024, and the authors' public code, whose parameter names are kept.

    Differs:
        The original runs over the captions one by one, and in float64 when it evaluates; here all pairs of a tile
        are scored at once, in the precision of the embeddings.
    """

    def __init__(
        self,
        image_dim: int,
        vocab_size: int,
        embed_dim: int = 1024,
        word_dim: int = 300,
        direction: Direction = "t2i",
        aggregation: Aggregation = "LogSumExp",
        lambda_softmax: float = 9.0,
        lambda_lse: float = 6.0,
        norm: RawNorm = "clipped_l2norm",
        bidirectional: bool = True,
        weight_norm: bool = False,
    ) -> None:
        super().__init__()
        if direction not in get_args(Direction):
            raise ValueError(f"direction must be t2i or i2t, got {direction!r}")
        self.direction, self.aggregation, self.norm = direction, aggregation, norm
        self.lambda_softmax, self.lambda_lse = lambda_softmax, lambda_lse
        self.img_enc = RegionEncoder(image_dim, embed_dim, weight_norm)
        self.txt_enc = WordEncoder(vocab_size, word_dim, embed_dim, bidirectional)

    def extra_repr(self) -> str:
        """What changes a score beside the weights."""
        how = f"{self.direction}, {self.aggregation}, norm={self.norm}"
        return f"{how}, lambda_softmax={self.lambda_softmax}, lambda_lse={self.lambda_lse}"

    def encode_images(self, images: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images regions dim"]:
        """One unit vector per region."""
        vectors: Tensor = self.img_enc(images)
        return vectors

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """One unit vector per word, zeros behind the end of a caption; arguments as of `WordEncoder`."""
        vectors: Tensor = self.txt_enc(texts, lengths)
        return vectors

    def score(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "texts words dim"],
        lengths: Int64[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Score every image with every caption.

        Args:
            images: Vectors of `encode_images`.
            texts: Vectors of `encode_texts`; what stands behind a caption's end has no influence.
            lengths: Words per caption; None: all are as long as ``texts`` is wide.

        Returns:
            Scores; higher is nearer. ``Mean`` and ``Max`` lie in -1..1, ``LogSumExp`` and ``Sum`` may lie above.
        """
        mask = word_mask(texts.shape[1], lengths)
        if self.direction == "t2i":
            return self._scores(texts, images, query_mask=mask)
        return self._scores(images, texts, context_mask=mask).T

    def _scores(
        self,
        queries: Float[Tensor, "queries asking dim"],
        context: Float[Tensor, "contexts looked dim"],
        query_mask: Tensor | None = None,
        context_mask: Tensor | None = None,
    ) -> Float[Tensor, "contexts queries"]:
        raw = dot_products(queries, context)
        weights = attention_weights(raw, self.lambda_softmax, self.norm, query_mask, context_mask)
        norms = torch.linalg.vector_norm(queries, dim=-1)
        cosines = attended_cosines(weights, raw, context @ context.transpose(1, 2), norms)
        return aggregate(cosines, self.aggregation, self.lambda_lse, query_mask)

    def load_released(self, path: Path | str) -> "SCAN":
        """Load the authors' checkpoint, or the same tensors as safetensors under our names.

        Args:
            path: The authors' ``model_best.pth.tar`` (a dict whose ``model`` lists the state dicts of the image
                and the text encoder, perhaps with ``module.`` before the names), or a ``.safetensors``.

        Returns:
            The network itself. Direction, aggregation and lambdas are in no released weights: the caller gives them.

        Raises:
            DataError: The file is missing, holds anything but weights, belongs to another vocabulary (both sizes
                are named), or its names or shapes differ from this network's (the first are named).
        """
        state = self.by_our_names(read_checkpoint(path), path)
        check_vocabulary(state, len(self.txt_enc.embed.weight), path)
        load_strictly(self, state, path)
        return self

    @staticmethod
    def by_our_names(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Bring what `read_checkpoint` gave to our flat names; ``path`` is for the messages."""
        return join_encoders(checkpoint, path)


class SCANEnsemble(nn.Module):
    """Two separately trained networks served as one pair scorer: the mean of both scores.

    The paper's headline row is such a pair, ``t2i`` with ``Mean`` and ``i2t`` with ``LogSumExp``. Vectors of both
    stand side by side, so that what an encoder gives is stored and tiled as that of one network.

    Args:
        first: One network.
        second: Another, of the same ``embed_dim`` and vocabulary.
    """

    def __init__(self, first: SCAN, second: SCAN) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def encode_images(self, images: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images regions both"]:
        """Vectors of both networks side by side, twice a member's width."""
        return torch.cat([self.first.encode_images(images), self.second.encode_images(images)], dim=2)

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words both"]:
        """Vectors of both networks side by side, twice a member's width."""
        return torch.cat([self.first.encode_texts(texts, lengths), self.second.encode_texts(texts, lengths)], dim=2)

    def score(
        self,
        images: Float[Tensor, "images regions both"],
        texts: Float[Tensor, "texts words both"],
        lengths: Int64[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Mean of the two scores; arguments as of `SCAN.score`."""
        members = zip((self.first, self.second), images.chunk(2, dim=2), texts.chunk(2, dim=2), strict=True)
        first, second = (member.score(image, text, lengths) for member, image, text in members)
        return (first + second) / 2
