"""The first images of every split of a data set, under a name of their own."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from jaxtyping import Int64

from fico.correspondence import Correspondence
from fico.datasets.base import FeatureDataset, RetrievalDataset, RetrievalSplit
from fico.errors import UsageError

IMAGE_KINDS = ("global", "regions")  # of features with a row an image; the others have one a caption


def first_images(dataset: RetrievalDataset, images: int) -> RetrievalDataset:
    """The first ``images`` images of every split, in the order of the data set, with all of their captions.

    A split with fewer images stays whole. The data set's name says what it is, such as ``coco(first 100)``, so that
    no table puts its numbers beside those of the whole.

    Raises:
        UsageError: ``images`` is no whole number of at least 1.
    """
    if type(images) is not int or images < 1:
        raise UsageError(f"dataset.subset is {images!r}; give a whole number of images of at least 1")
    if isinstance(dataset, FeatureDataset):
        return _FirstRows(dataset, images)
    return _FirstImages(dataset, images)


def whole_name(name: str) -> str:
    """The data set's name without what `first_images` adds: its image ids are those of the whole."""
    return re.sub(r"\(first \d+\)$", "", name)


class _FirstImages:
    def __init__(self, dataset: RetrievalDataset, images: int) -> None:
        self.whole, self.images = dataset, images
        self.name, self.root = f"{dataset.name}(first {images})", dataset.root
        self._splits: dict[str, RetrievalSplit] = {}

    def split(self, name: str) -> RetrievalSplit:
        """Give one split; it is cut once."""
        if name not in self._splits:
            self._splits[name] = self._cut(self.whole.split(name))
        return self._splits[name]

    def _cut(self, split: RetrievalSplit) -> RetrievalSplit:
        images, captions = min(self.images, len(split.image_ids)), self._captions(split)
        message = f"split {split.name}: the first {images:,} of {len(split.image_ids):,} images (dataset.subset)"
        return replace(
            split,
            dataset=self.name,
            image_ids=split.image_ids[:images],
            image_paths=split.image_paths[:images],
            caption_ids=tuple(split.caption_ids[row] for row in captions),
            captions=tuple(split.captions[row] for row in captions),
            tokens=tuple(split.tokens[row] for row in captions),
            correspondence=Correspondence(split.correspondence.caption_to_image[captions]),
            labels=None if split.labels is None else split.labels[:images],
            fingerprint=hashlib.sha256(f"{split.fingerprint} first {self.images}".encode()).hexdigest(),
            notes=(*split.notes, message),
        )

    def _captions(self, split: RetrievalSplit) -> Int64[np.ndarray, " captions"]:
        return np.flatnonzero(split.correspondence.caption_to_image < self.images)


class _FirstRows(_FirstImages):
    """The same of a data set that comes as features."""

    @property
    def feature_origins(self) -> Mapping[str, str]:
        return cast(FeatureDataset, self.whole).feature_origins

    @property
    def split_names(self) -> tuple[str, ...]:
        names: tuple[str, ...] = getattr(self.whole, "split_names", ("train", "val", "test"))
        return names

    def features(self, split: str, kind: str) -> np.ndarray:
        """Give the rows of the first images, or those of their captions."""
        rows = cast(FeatureDataset, self.whole).features(split, kind)
        return rows[: self.images] if kind in IMAGE_KINDS else rows[self._captions(self.whole.split(split))]
