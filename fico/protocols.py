"""The protocols by which a model enters a retrieval."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor


@runtime_checkable
class Encoder(Protocol):
    """Embeds each side alone. A hashing model encodes to +1 and -1 and has an attribute ``bits``."""

    def encode_images(self, images: Tensor) -> Float[Tensor, "images dim"]:
        """Embed images: descriptors ``images dim``, region features ``images regions dim`` or pixels."""
        ...

    def encode_texts(self, texts: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "texts dim"]:
        """Embed texts: features ``texts dim``, or padded word ids with their ``lengths``."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """Scores from both sides at once, for example by attention between regions and words."""

    def score(self, images: Tensor, texts: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "images texts"]:
        """Score every image with every text; higher is nearer."""
        ...


@runtime_checkable
class ListScorer(PairScorer, Protocol):
    """A pair scorer that scores many short lists at once; `fico.Rerank` asks others for one image at a time."""

    def score_lists(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "images texts words dim"],
        lengths: Int64[Tensor, "images texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Score each image with the texts of its own list; higher is nearer."""
        ...


@runtime_checkable
class PackedScorer(PairScorer, Protocol):
    """A pair scorer that scores an image with the words of many texts in one row, which needs no padding between them.

    It can where words attend to regions alone: each word is then a query of its own.
    """

    takes_packed: bool
    """Whether it can with its present options."""

    def score_packed(
        self,
        images: Float[Tensor, "images regions dim"],
        words: Float[Tensor, "images words dim"],
        lengths: Int64[Tensor, "images texts"],
    ) -> Float[Tensor, " pairs"]:
        """Score each image with its texts; higher is nearer.

        Args:
            images: Vectors of the regions.
            words: Those of an image's texts one after the other; anything behind the last.
            lengths: Words of each text in this order, 0 behind the last one of an image.

        Returns:
            Scores of the texts that have words, those of the first image first.
        """
        ...


@runtime_checkable
class Matcher(Protocol):
    """Scores aligned pairs, for example by cross-attention; `fico.Rerank` applies it to a first stage's candidates."""

    def match(
        self, image_states: Tensor, text_states: Tensor, lengths: Tensor | None = None
    ) -> Float[Tensor, " pairs"]:
        """Score image ``i`` with text ``i``; higher is nearer.

        Args:
            image_states: ``pairs ...``, of the encoded batch. Where all pairs share one image the rows are an expanded
                view (``stride(0) == 0``), so that what depends on the image alone can be computed once.
            text_states: ``pairs words ...``, padded: hidden states, or token ids.
            lengths: Words of each text without padding.
        """
        ...


@runtime_checkable
class ListMatcher(Matcher, Protocol):
    """A matcher that takes keys and values of an image, computed once, with a list of texts."""

    def image_keys(self, image_states: Tensor) -> Float[Tensor, "images ..."]:
        """All that the matcher needs of each image, from its states."""
        ...

    def match_lists(
        self,
        image_keys: Float[Tensor, "images ..."],
        text_states: Tensor,
        lengths: Int64[Tensor, "images texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Score each image with the texts of its own list; higher is nearer.

        Args:
            image_keys: Of `image_keys`.
            text_states: ``images texts words ...``, padded, as for `match`.
            lengths: Words of each text without padding.
        """
        ...
