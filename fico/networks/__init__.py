"""Architectures as plain ``nn.Module``, and the three protocols by which a model enters a retrieval."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Encoder(Protocol):
    """Embeds each side alone. A hashing model is an encoder of +1 and -1 with an attribute ``bits``."""

    def encode_images(self, images: Tensor) -> Float[Tensor, "images dim"]:
        """Embed images, given as descriptors ``images dim`` or region features ``images regions dim``."""
        ...

    def encode_texts(self, texts: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "texts dim"]:
        """Embed texts, given as features ``texts dim`` or as padded word ids with their ``lengths``."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """Needs both sides at once, for example for attention between regions and words."""

    def score(self, images: Tensor, texts: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "images texts"]:
        """Score every image with every text; higher is nearer."""
        ...


@runtime_checkable
class Reranker(Encoder, PairScorer, Protocol):
    """An encoder that finds the first ``k`` items, and a pair scorer that puts those in order."""
