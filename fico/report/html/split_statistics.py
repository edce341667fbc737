"""Statistics of a split of a data set: counts, lengths, labels, and the level of chance of each metric."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from fico.datasets.base import RetrievalSplit
from fico.datasets.splits import hash_order
from fico.evaluation.chance import chance_levels
from fico.evaluation.columns import task_columns
from fico.evaluation.options import EvaluationOptions
from fico.metrics.specification import Task

MOST_IMAGES = 5000  # relevance is counted over at most this many images, chosen by hashed ids
SHOWN = {"instance": ("R@1", "R@5", "R@10"), "category": ("mAP@10", "mAP@100", "mAP@N")}


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """Statistics of one split.

    Args:
        name: Of the split.
        images: How many.
        captions: How many.
        captions_per_image: Images by their number of captions.
        words: Captions by their number of words; empty where captions have no words.
        missing: Images without a file.
        unlabelled: Images without a category; None without labels.
        labels_per_image: Mean over all images.
        images_per_class: Images of each category, in the order of the columns.
        density: Fraction of pairs of images, an image with itself too, that share a category.
        counted: Images over which density and chance of the category task were counted.
        chance: Expected values of a random ranking, by ``task/direction/metric``.
        fingerprint: Of the split.
    """

    name: str
    images: int
    captions: int
    captions_per_image: dict[int, int]
    words: dict[int, int]
    missing: int
    unlabelled: int | None
    labels_per_image: float | None
    images_per_class: tuple[int, ...]
    density: float | None
    counted: int
    chance: dict[str, float]
    fingerprint: str


def split_statistics(split: RetrievalSplit) -> SplitStatistics:
    """Statistics of one split; relevance is counted over at most 5,000 images."""
    images, owners = len(split.image_ids), split.correspondence.caption_to_image
    held = np.bincount(owners, minlength=images)
    chosen = np.sort(hash_order(split.image_ids, "numbers")[:MOST_IMAGES])
    labels = split.labels
    lengths = np.array([len(tokens) for tokens in split.tokens])
    chance = _instance_chance(held, len(owners))
    density = None
    if labels is not None:
        shared = _shared(labels[chosen])
        density = float(shared.mean())
        chance |= _category_chance(shared, held[chosen])
    return SplitStatistics(
        name=split.name,
        images=images,
        captions=len(owners),
        captions_per_image=_histogram(held),
        words=_histogram(lengths) if lengths.any() else {},
        missing=sum(not path.is_file() for path in split.image_paths),
        unlabelled=None if labels is None else int((~labels.any(axis=1)).sum()),
        labels_per_image=None if labels is None else float(labels.sum(axis=1).mean()),
        images_per_class=() if labels is None else tuple(labels.sum(axis=0).tolist()),
        density=density,
        counted=len(chosen),
        chance=chance,
        fingerprint=split.fingerprint,
    )


def _histogram(values: Int64[np.ndarray, " n"]) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _shared(labels: Bool[np.ndarray, "images classes"]) -> Bool[np.ndarray, "images images"]:
    held = labels.astype(np.float32)
    return np.asarray(held @ held.T > 0)


def _instance_chance(held: Int64[np.ndarray, " images"], captions: int) -> dict[str, float]:
    return {
        **_means("instance", "i2t", held[held > 0], captions),
        **_means("instance", "t2i", np.ones(1, dtype=np.int64), len(held)),
    }


def _category_chance(shared: Bool[np.ndarray, "images images"], held: Int64[np.ndarray, " images"]) -> dict[str, float]:
    """A caption has the categories of its image."""
    relevant_captions, relevant_images = shared @ held, shared.sum(axis=1)
    return {
        **_means("category", "i2t", relevant_captions, int(held.sum())),
        **_means("category", "t2i", np.repeat(relevant_images, held), len(held)),
    }


def _means(task: Task, direction: str, relevant: Int64[np.ndarray, " queries"], items: int) -> dict[str, float]:
    distinct, queries = np.unique(relevant, return_counts=True)
    levels = chance_levels(task_columns(EvaluationOptions().listed, task), task, distinct, queries, items)
    return {f"{task}/{direction}/{name}": level for name in SHOWN[task] if (level := levels[name]) is not None}
