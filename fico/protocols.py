"""The protocols by which a model enters a retrieval."""

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
class Matcher(Protocol):
    """Scores aligned pairs, for example with attention between image and text; `fico.Rerank` hands it the best few."""

    def match(
        self, image_states: Tensor, text_states: Tensor, lengths: Tensor | None = None
    ) -> Float[Tensor, " pairs"]:
        """Score image ``i`` with text ``i``; higher is nearer.

        Args:
            image_states: ``pairs ...``, of the encoded batch. Where all pairs share one image its rows are one and the
                same memory (``stride(0) == 0``), so that what depends on the image alone can be computed once.
            text_states: ``pairs words ...``, padded: hidden states, or token ids.
            lengths: Real words of each text.
        """
        ...
