"""SCAN: stacked cross-attention between regions and words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fico.networks.blocks.attention import (
    Aggregation,
    RawNorm,
    aggregate,
    attended_cosines,
    attention_weights,
    dot_products,
    word_mask,
)
from fico.networks.blocks.region_words import RegionEncoder, RegionWordNetwork, WordEncoder, lists_as_contexts
from fico.networks.blocks.segments import aggregate_segments
from fico.networks.checkpoint_io.load import join_encoders, read_checkpoint
from fico.networks.checkpoint_io.options import check_gru_directions

Direction = Literal["t2i", "i2t"]


class SCAN(RegionWordNetwork):
    """Stacked cross-attention network: a pair scorer over one vector per region and per word.

    Args:
        image_dim: Width of the region features; 2048 for bottom-up attention.
        vocab_size: Number of words, the four markers counted.
        embed_dim: Width of the vectors.
        word_dim: Width of the word embedding.
        direction: ``t2i``: words are the queries and regions the context; ``i2t``: the reverse (``cross_attn``).
        aggregation: How the cosines of the query vectors become a score; see `aggregate` (``agg_func``).
        lambda_softmax: Inverse temperature of the attention; published 9 for ``t2i``, 4 for ``i2t``.
        lambda_lse: Sharpness of ``LogSumExp``; published 6 for ``t2i``, for ``i2t`` 5 (Flickr30K) and 20 (COCO).
        norm: How inner products are normalised before the softmax; all published models: ``clipped_l2norm``
            (``raw_feature_norm``).
        bidirectional: A bidirectional GRU over the words; all published models have one (``bi_gru``).
        num_layers: Layers of that GRU; all published models have one.
        weight_norm: Weight normalisation of the image projection (``precomp_enc_type``).
        normalise_images: L2-normalise the region vectors; off is the original's ``no_imgnorm``.
        normalise_texts: L2-normalise the word vectors; off is the original's ``no_txtnorm``.
        standardise_images: Shift and scale each value of a region by the statistics of the training regions, which
            `fico.features.warm_start.CCAStart` sets; off in all published models.

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
        num_layers: int = 1,
        weight_norm: bool = False,
        normalise_images: bool = True,
        normalise_texts: bool = True,
        standardise_images: bool = False,
    ) -> None:
        if direction not in get_args(Direction):
            raise ValueError(f"direction must be t2i or i2t, got {direction!r}")
        super().__init__(
            RegionEncoder(image_dim, embed_dim, weight_norm, normalise_images, standardise_images),
            WordEncoder(vocab_size, word_dim, embed_dim, bidirectional, num_layers, normalise_texts),
        )
        self.direction, self.aggregation, self.norm = direction, aggregation, norm
        self.lambda_softmax, self.lambda_lse = lambda_softmax, lambda_lse

    def extra_repr(self) -> str:
        """The options of the score that no weight shows."""
        options = f"{self.direction}, {self.aggregation}, norm={self.norm}"
        return f"{options}, lambda_softmax={self.lambda_softmax}, lambda_lse={self.lambda_lse}"

    def score(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "texts words dim"],
        lengths: Int64[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Cross-attention score of every image with every caption.

        Args:
            images: Vectors of `encode_images`.
            texts: Vectors of `encode_texts`; padding has no influence.
            lengths: Words per caption; None: all are as long as ``texts`` is wide.

        Returns:
            Scores; higher is nearer. ``Mean`` and ``Max`` lie in -1..1, ``LogSumExp`` and ``Sum`` may lie above.
        """
        mask = word_mask(texts.shape[1], lengths)
        if self.direction == "t2i":
            return self._scores(texts, images, query_mask=mask)
        return self._scores(images, texts, context_mask=mask).T

    def score_lists(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "images texts words dim"],
        lengths: Int64[Tensor, "images texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Cross-attention score of each image with the captions of its own list; otherwise as `score`."""
        mask = word_mask(texts.shape[2], lengths)
        if self.direction == "t2i":
            return self._scores(texts, images, query_mask=mask)
        regions, words = lists_as_contexts(images, texts)
        return self._scores(regions, words, context_mask=None if mask is None else mask.flatten(0, 1)).view(
            texts.shape[:2]
        )

    @property
    def takes_packed(self) -> bool:
        """Whether `score_packed` is there for these options."""
        return self.direction == "t2i" and self.norm != "softmax"

    def score_packed(
        self,
        images: Float[Tensor, "images regions dim"],
        words: Float[Tensor, "images words dim"],
        lengths: Int64[Tensor, "images texts"],
    ) -> Float[Tensor, " pairs"]:
        """Cross-attention score of each image with the captions whose words are packed in its row.

        Args:
            images: Vectors of `encode_images`.
            words: Vectors of `encode_texts` without padding, one caption after the other; anything behind the last.
            lengths: Words of each caption in this order, 0 behind the last one of an image.

        Returns:
            Scores of the captions that have words, those of the first image first; as those of `score`.
        """
        segments = torch.cat([lengths, words.shape[1] - lengths.sum(dim=1, keepdim=True)], dim=1)
        cosines = self._cosines(words.unsqueeze(1), images, segments=segments).squeeze(1)
        scores = aggregate_segments(cosines, segments, self.aggregation, self.lambda_lse)
        return scores[:, :-1][lengths > 0]

    def _scores(
        self,
        queries: Float[Tensor, "*contexts queries query_len dim"],
        context: Float[Tensor, "contexts context_len dim"],
        query_mask: Bool[Tensor, "*contexts queries query_len"] | None = None,
        context_mask: Bool[Tensor, "contexts context_len"] | None = None,
    ) -> Float[Tensor, "contexts queries"]:
        cosines = self._cosines(queries, context, query_mask, context_mask)
        return aggregate(cosines, self.aggregation, self.lambda_lse, query_mask)

    def _cosines(
        self,
        queries: Float[Tensor, "*contexts queries query_len dim"],
        context: Float[Tensor, "contexts context_len dim"],
        query_mask: Bool[Tensor, "*contexts queries query_len"] | None = None,
        context_mask: Bool[Tensor, "contexts context_len"] | None = None,
        segments: Int64[Tensor, "contexts segments"] | None = None,
    ) -> Float[Tensor, "contexts queries query_len"]:
        """Cosine of each query vector and what it attends to."""
        raw = dot_products(queries, context)
        weights = attention_weights(raw, self.lambda_softmax, self.norm, query_mask, context_mask, segments)
        norms = torch.linalg.vector_norm(queries, dim=-1)
        return attended_cosines(weights, raw, context @ context.transpose(1, 2), norms)

    def load_released(self, path: Path | str) -> "SCAN":
        """Load the authors' checkpoint, or the same tensors as safetensors under our names.

        Args:
            path: The authors' ``model_best.pth.tar`` (a dict whose ``model`` lists the state dicts of the image
                and the text encoder, perhaps with ``module.`` before the names), or a ``.safetensors``.

        Returns:
            The network itself. Direction, aggregation, lambdas and the normalisations are in no released weights:
            they stay those of the constructor.

        Raises:
            DataError: The file is missing, holds anything but finite weights, belongs to another vocabulary or to
                other options (both values are named), or its names or shapes differ from this network's (the first
                are named).
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        check_gru_directions(state, self.txt_enc.rnn, path)
        self.load_checked(state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names, as `read_checkpoint` gives them, to ours; ``path`` is for the messages."""
        return join_encoders(checkpoint, path)
