"""Values that cross a border between the parts of the library."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from torch import Tensor

from fico.correspondence import Correspondence

__all__ = ["Correspondence", "EncodedBatch", "PairBatch", "Ranking"]


@dataclass(slots=True)
class PairBatch:
    """Images and captions as a module takes them. Not frozen: Lightning moves its tensors between devices.

    While training, row i of ``images`` belongs to row i of ``texts`` (an image may stand in several rows). In
    evaluation every image stands once, followed in ``texts`` by all of its captions.

    Args:
        images: ``images ...``: descriptors ``images dim``, region features ``images regions dim`` or pixels
            ``images 3 size size``.
        image_ids: ``images``, int64: the image's row in its split.
        texts: ``texts ...``: text features ``texts dim`` or word ids ``texts words``, padded with 0.
        text_ids: ``texts``, int64: the caption's row in its split.
        lengths: ``texts``, int64: words per caption, where ``texts`` holds word ids.
        labels: ``images classes``, bool: multi-hot categories, where the data set has them.
    """

    images: Tensor
    image_ids: Tensor
    texts: Tensor
    text_ids: Tensor
    lengths: Tensor | None = None
    labels: Tensor | None = None

    def pin_memory(self) -> "PairBatch":
        """The same in page-locked memory; PyTorch's loader calls it, as it knows no dataclasses."""
        pinned: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            pinned[field.name] = None if value is None else value.pin_memory()
        return PairBatch(**pinned)


@dataclass(slots=True)
class EncodedBatch:
    """What a module's encode returns: embeddings of both sides with the ids they belong to.

    Args:
        images: ``images dim``, float embeddings, or codes of +1 and -1 from a hashing model; of a pair scorer one
            vector per region, ``images regions dim``.
        image_ids: ``images``, int64: the image's row in its split.
        texts: ``texts dim``; of a pair scorer one vector per word, ``texts words dim``, padded.
        text_ids: ``texts``, int64.
        text_lengths: ``texts``, int64: words of each text, from a pair scorer or with ``text_states``.
        image_states: ``images ...``: what a re-ranker's ``match`` needs of each image, such as its tokens.
        text_states: ``texts words ...``: what it needs of each text, padded: hidden states, or token ids.
    """

    images: Tensor
    image_ids: Tensor
    texts: Tensor
    text_ids: Tensor
    text_lengths: Tensor | None = None
    image_states: Tensor | None = None
    text_states: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        values = (getattr(self, field.name) for field in fields(self))
        return sum(value.nbytes for value in values if value is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Result of a search: the ``k`` best items of each query, best first.

    Args:
        scores: ``queries k``: higher is nearer; for Hamming the negative number of differing bits.
        indices: ``queries k``, int64: rows of the items, in the order of ``add``, or the ids that came with them
            (str as objects); -1, or None among str, where there is no item.
    """

    scores: np.ndarray
    indices: np.ndarray
