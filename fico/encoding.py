"""From encoded batches to the embeddings of a whole split, each image and caption exactly once."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from fico.errors import FicoError
from fico.types import EncodedBatch, PairBatch


@torch.inference_mode()
def encode(
    encoder: Callable[[PairBatch], EncodedBatch], batches: Iterable[PairBatch], *, images: int, texts: int
) -> EncodedBatch:
    """Encode a split without a trainer.

    Args:
        encoder: Takes a batch and returns its embeddings, such as ``UCCHModule(...).eval().encode``.
        batches: Together every image and every caption of the split once, in any order.
        images: Number of images of the split.
        texts: Number of captions of the split.

    Returns:
        All embeddings on the CPU, in the order of their ids.

    Raises:
        FicoError: The ids are not exactly those of the split.
    """
    return join([to_cpu(encoder(batch)) for batch in batches], images=images, texts=texts)


def join(batches: Sequence[EncodedBatch], *, images: int, texts: int) -> EncodedBatch:
    """Put the encoded batches of all processes together and in order.

    Args:
        batches: Encoded batches on the CPU.
        images: Number of images that must be there, with the ids 0 to ``images - 1``.
        texts: Number of captions that must be there.

    Returns:
        All embeddings in the order of their ids.

    Raises:
        FicoError: An id is missing, repeated or unknown. A recall over such a gallery would be wrong.
    """
    image_order = _order(batches, "image", images)
    text_order = _order(batches, "text", texts)
    lengths = [batch.text_lengths for batch in batches if batch.text_lengths is not None]
    return EncodedBatch(
        images=torch.cat([batch.images for batch in batches])[image_order],
        image_ids=torch.arange(images),
        texts=_padded([batch.texts for batch in batches])[text_order],
        text_ids=torch.arange(texts),
        text_lengths=torch.cat(lengths)[text_order] if lengths else None,
    )


def _order(batches: Sequence[EncodedBatch], side: str, expected: int) -> Tensor:
    """Where each id of the split stands among the rows of all batches."""
    if not batches:
        raise FicoError(f"no {side} was encoded, but the split has {expected}")
    ids = torch.cat([getattr(batch, f"{side}_ids") for batch in batches])
    counts = torch.bincount(ids, minlength=expected)
    wrong = (counts != 1).nonzero().flatten().tolist()
    if len(counts) > expected or wrong:
        raise FicoError(
            f"the encoded {side}s are not those of the split: expected each of {expected} ids once, got {len(ids)}; "
            f"first wrong ids: {[(row, int(counts[row])) for row in wrong[:5]]} (id, times); "
            "check the sampler, which must neither repeat nor drop items"
        )
    return ids.argsort()


def _padded(texts: Sequence[Tensor]) -> Tensor:
    """All texts in one tensor; word vectors of a batch with shorter captions are filled up with zeros."""
    if texts[0].ndim == 2:
        return torch.cat(list(texts))
    words = max(text.shape[1] for text in texts)
    return torch.cat([pad(text, (0, 0, 0, words - text.shape[1])) for text in texts])


def to_cpu(batch: EncodedBatch) -> EncodedBatch:
    """The batch without its graph, on the CPU."""
    return EncodedBatch(
        images=batch.images.detach().cpu(),
        image_ids=batch.image_ids.cpu(),
        texts=batch.texts.detach().cpu(),
        text_ids=batch.text_ids.cpu(),
        text_lengths=None if batch.text_lengths is None else batch.text_lengths.cpu(),
    )
