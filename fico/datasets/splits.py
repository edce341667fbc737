"""Splits that depend on ids alone: random ones, and ones in which every category has its fraction."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from fico.errors import UsageError


def hash_order(ids: Sequence[str], salt: str) -> Int64[np.ndarray, " rows"]:
    """Give all rows in the order of their hashed ids: random, and the same however the file is sorted."""
    keys = [hashlib.sha256(f"{salt} {item}".encode()).digest() for item in ids]
    return np.array(sorted(range(len(ids)), key=keys.__getitem__), dtype=np.int64)


def stratified(
    ids: Sequence[str], labels: Bool[np.ndarray, "images classes"] | None, fractions: Mapping[str, float], seed: int
) -> list[str]:
    """Deal images to splits so that each split has its fraction of the images of every category.

    The rarest category is dealt first, image by image to the split that lacks most of it; then the rarest among the
    images that are left. Images without a category fill up the sizes. Ties go by hashed ids, so that the outcome
    depends on ids, labels, fractions and seed alone, not on the order of the file.

    Args:
        ids: Unique.
        labels: Multi-hot; None deals by hashed ids alone.
        fractions: Of the images, by name of the split; they sum to 1.
        seed: Another one gives other splits.

    Returns:
        The split of each image.

    Raises:
        UsageError: The fractions are not positive or do not sum to 1, or there are fewer images than splits.

    Source:
        Sechidis, Tsoumakas and Vlahavas: On the stratification of multi-label data, ECML PKDD 2011.
    """
    names, parts = list(fractions), np.array(list(fractions.values()), dtype=np.float64)
    if not (parts > 0).all() or not np.isclose(parts.sum(), 1):
        listed = ", ".join(f"{name} {fraction:g}" for name, fraction in fractions.items())
        raise UsageError(f"the fractions are {listed}; each must be above 0 and all together 1")
    if len(ids) < len(names):
        raise UsageError(f"{len(ids)} images cannot be dealt to {len(names)} splits; give at least one image each")
    order = hash_order(ids, f"stratified {seed}")
    held = np.zeros((len(ids), 0), dtype=bool) if labels is None else labels
    dealt = _deal(held[order], parts)
    splits = [""] * len(ids)
    for position, row in enumerate(order.tolist()):
        splits[row] = names[dealt[position]]
    return splits


def _deal(labels: Bool[np.ndarray, "images classes"], fractions: np.ndarray) -> Int64[np.ndarray, " images"]:
    """Give the number of each image's split; rows are taken in their order."""
    dealt = np.full(len(labels), -1, dtype=np.int64)
    lacking_images = fractions * len(labels)
    lacking = labels.sum(axis=0)[:, None] * fractions  # of each category in each split
    left = labels.sum(axis=0)
    while left.any():
        category = int(np.where(left > 0, left, np.iinfo(left.dtype).max).argmin())
        for row in np.flatnonzero(labels[:, category] & (dealt < 0)).tolist():
            split = _most_lacking(lacking[category], lacking_images)
            dealt[row] = split
            lacking_images[split] -= 1
            lacking[labels[row], split] -= 1
            left -= labels[row]
    for row in np.flatnonzero(dealt < 0).tolist():
        split = int(lacking_images.argmax())
        dealt[row] = split
        lacking_images[split] -= 1
    return dealt


def _most_lacking(lacking: np.ndarray, lacking_images: np.ndarray) -> int:
    """The split that lacks most of a category, among equal ones that which lacks most images."""
    most = np.flatnonzero(np.isclose(lacking, lacking.max()))
    return int(most[lacking_images[most].argmax()])
