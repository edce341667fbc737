"""A test set followed by distractors, in the order in which they join the gallery."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, UsageError

_SAME = ("checkpoint", "weights")  # keys of a config that say where the same model was read from


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Test set and distractors in one array a side, in the order in which they join.

    ``texts_before`` counts the captions that come with that many distractor images.
    """

    images: np.ndarray
    texts: np.ndarray
    texts_before: np.ndarray

    @classmethod
    def join(cls, store: EmbeddingStore, distractors: Sequence[EmbeddingStore], seed: int) -> "Gallery":
        """Appends the distractors' images to the test set, shuffled by the seed, each with its captions.

        Raises:
            DataError: The stores are not of one model, or an image is in two of them.
        """
        _check(store, distractors)
        images, texts, counts = [store.images], [store.texts], [np.array([len(store.texts)])]
        if distractors:
            owners, offset = [], 0
            for other in distractors:
                owners.append(other.correspondence.caption_to_image + offset)
                offset += len(other.images)
            order = np.random.default_rng(seed).permutation(offset)
            position = np.empty(offset, dtype=np.int64)
            position[order] = np.arange(offset)
            by_image = position[np.concatenate(owners)]  # where the image of each caption joins
            images.append(np.concatenate([other.images for other in distractors])[order])
            texts.append(np.concatenate([other.texts for other in distractors])[np.argsort(by_image, kind="stable")])
            counts.append(len(store.texts) + np.cumsum(np.bincount(by_image, minlength=offset)))
        return cls(np.concatenate(images), np.concatenate(texts), np.concatenate(counts))

    def items(self, direction: str) -> np.ndarray:
        """What is found: captions for ``i2t``, images for ``t2i``."""
        return self.texts if direction == "i2t" else self.images

    def ends(self, direction: str, images: int) -> int:
        """Number of items in a gallery with that many images."""
        return int(self.texts_before[images - self.test_images]) if direction == "i2t" else images

    @property
    def test_images(self) -> int:
        """Images of the test set."""
        return len(self.images) - len(self.texts_before) + 1

    def sizes(self, sizes: Sequence[int] | None) -> list[int]:
        """Images of each gallery, in rising order; by default doubled from the test set on, and everything.

        Raises:
            UsageError: A size is below the test set or above everything.
        """
        least, everything = self.test_images, len(self.images)
        if sizes is None:
            doubled = [least * 2**power for power in range(64) if least * 2**power < everything]
            return [*doubled, everything]
        outside = [size for size in sizes if not least <= size <= everything]
        if outside or not sizes:
            raise UsageError(f"no gallery can have {outside or 'no'} images; give sizes from {least} to {everything}")
        return sorted(set(sizes))


def _width(store: EmbeddingStore) -> str:
    return f"{store.images.shape[1]}-D" if store.bits is None else f"{store.bits} bits"


def _check(store: EmbeddingStore, distractors: Sequence[EmbeddingStore]) -> None:
    seen = {(str(store.origin.get("dataset", "")), name) for name in store.image_ids}
    for number, other in enumerate(distractors, start=1):
        if store.images.ndim != 2 or other.images.ndim != 2:
            raise DataError("a pair scorer has no single vector an item, so its gallery cannot grow this way")
        if (other.images.shape[1], other.bits) != (store.images.shape[1], store.bits) or _model(other) != _model(store):
            raise DataError(
                f"distractors {number} are {_width(other)} of {other.origin.get('model')}, the test set is "
                f"{_width(store)} of {store.origin.get('model')}; encode both with one model"
            )
        names = {(str(other.origin.get("dataset", "")), name) for name in other.image_ids}
        if both := sorted(names & seen):
            raise DataError(
                f"{len(both)} images of distractors {number} are in the gallery already, among them {both[0][1]}; "
                "distractors must be other images"
            )
        seen |= names


def _model(store: EmbeddingStore) -> object:
    config = store.origin.get("config")
    kept = {k: v for k, v in config.items() if k not in _SAME} if isinstance(config, dict) else config
    return store.origin.get("model"), kept
