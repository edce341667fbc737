"""The page of a data set: sample images with captions and labels, and its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fico.datasets.base import FeatureDataset, RetrievalDataset, RetrievalSplit
from fico.datasets.splits import hash_order
from fico.report.html.environment import page_environment
from fico.report.html.split_statistics import SplitStatistics, split_statistics
from fico.report.html.split_tables import chance_table, split_table
from fico.util.atomic import atomic_write

CLASSES_SHOWN = 100  # bars; more categories are summed up in a sentence
BAR = 160  # pixels of the longest


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image with all its captions and the names of its categories."""

    image_id: str
    path: Path
    captions: tuple[str, ...]
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart; ``width`` in pixels."""

    name: str
    count: int
    width: float


def write_data_page(
    path: Path, dataset: RetrievalDataset, splits: Mapping[str, RetrievalSplit], *, sample_of: str, samples: int
) -> list[SplitStatistics]:
    """Writes the page by an atomic write.

    Args:
        path: The HTML file.
        dataset: Whose splits these are.
        splits: By name.
        sample_of: The split that samples and charts are of.
        samples: How many images to show; the same ones each time, chosen by hashed ids.

    Returns:
        The numbers on the page.
    """
    numbers = {name: split_statistics(split) for name, split in splits.items()}
    is_features = isinstance(dataset, FeatureDataset)
    shown = numbers[sample_of]
    page = (
        page_environment()
        .get_template("data.html.jinja")
        .render(
            name=dataset.name,
            root=str(dataset.root),
            splits=split_table(list(numbers.values())),
            chance=chance_table(list(numbers.values())),
            shown=shown,
            words=_bars({str(length): count for length, count in _filled(shown.words).items()}),
            held=_bars({str(held): count for held, count in shown.captions_per_image.items()}),
            classes=_classes(splits[sample_of], shown),
            more_classes=max(0, len(shown.images_per_class) - CLASSES_SHOWN),
            samples=_samples(splits[sample_of], samples) if shown.words or not is_features else [],
            mean_words=_mean(shown.words),
            remarks=_remarks(list(numbers.values()), is_features),
        )
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return list(numbers.values())


def _samples(split: RetrievalSplit, count: int) -> list[SampleImage]:
    owners = split.correspondence.caption_to_image
    found = []
    for row in hash_order(split.image_ids, "samples")[:count].tolist():
        captions = tuple(split.captions[caption] for caption in np.flatnonzero(owners == row).tolist())
        names = None
        if split.labels is not None:
            names = tuple(split.classes[column] for column in np.flatnonzero(split.labels[row]).tolist())
        found.append(SampleImage(split.image_ids[row], split.image_paths[row], captions, names))
    return found


def _bars(counts: Mapping[str, int]) -> list[Bar]:
    most = max(counts.values(), default=1)
    return [Bar(name, count, BAR * count / max(most, 1)) for name, count in counts.items()]


def _filled(counts: Mapping[int, int]) -> dict[int, int]:
    """All lengths between the shortest and the longest; the longest hundredth in one."""
    if not counts:
        return {}
    total, seen, last = sum(counts.values()), 0, max(counts)
    for length in sorted(counts):
        seen += counts[length]
        if seen >= 0.99 * total:
            last = length
            break
    return {length: counts.get(length, 0) for length in range(min(counts), last + 1)}


def _classes(split: RetrievalSplit, numbers: SplitStatistics) -> list[Bar]:
    """Categories from the most to the least frequent."""
    order = np.argsort([-count for count in numbers.images_per_class], kind="stable")[:CLASSES_SHOWN].tolist()
    return _bars({split.classes[column]: numbers.images_per_class[column] for column in order})


def _mean(counts: Mapping[int, int]) -> float | None:
    return sum(value * count for value, count in counts.items()) / sum(counts.values()) if counts else None


def _remarks(numbers: Sequence[SplitStatistics], is_features: bool) -> list[str]:
    """Remarks on the statistics."""
    remarks = ["it consists of features, without image files"] if is_features else []
    for found in numbers:
        if found.missing and not is_features:
            remarks.append(f"split {found.name}: {found.missing:,} of {found.images:,} images have no file")
        if found.unlabelled:
            remarks.append(
                f"split {found.name}: {found.unlabelled:,} images without a category; as a query such an image has no "
                "relevant item, and its average precision counts as 0"
            )
        if len(found.captions_per_image) > 1:
            counts = ", ".join(f"{count:,} of {held}" for held, count in found.captions_per_image.items())
            remarks.append(f"split {found.name}: captions are uneven, {counts}")
        if found.density is not None and found.counted < found.images:
            remarks.append(f"split {found.name}: relevance was counted over {found.counted:,} of its images")
    return remarks
