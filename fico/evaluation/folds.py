"""Folds of an evaluation: contiguous images with their captions, each a gallery with its own relevance."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.evaluation.database.relevance import DatabaseRetrieval
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.metrics.specification import Direction, positives_name_problem


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Contiguous images with all their captions, a gallery of its own; or queries with the database that they search.

    Args:
        image_rows: Rows of its images in the whole set.
        text_rows: Rows of its captions in the whole set.
        instance: Relevance by the correspondence, rows counted within the fold.
        category: Relevance by labels, or None.
        others: Further positives by the name of their task.
        database: Rows of the images and of the captions that are searched, where they are others than these.
    """

    image_rows: Int64[np.ndarray, " images"]
    text_rows: Int64[np.ndarray, " captions"]
    instance: InstanceRetrieval
    category: CategoryRetrieval | None
    others: Mapping[str, InstanceRetrieval]
    database: tuple[np.ndarray, np.ndarray] | None = None

    def rows(self, direction: Direction) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " items"]]:
        """Rows of the queries and of the items of a direction in the whole set."""
        images, texts = self.database or (self.image_rows, self.text_rows)
        return (self.image_rows, texts) if direction == "i2t" else (self.text_rows, images)


def make_folds(
    correspondence: Correspondence,
    images: int,
    labels: Bool[np.ndarray, "images classes"] | None,
    others: Mapping[str, Correspondence],
    folds: int,
) -> Iterator[Fold]:
    """Folds of equal size. A caption goes with its source image, and pairs of two folds are left out.

    Args:
        correspondence: The image row of each caption, or pairs.
        images: Number of images.
        labels: Of the category task, or None.
        others: Further positives by the name of their task.
        folds: How many.

    Raises:
        UsageError: There are more folds than images.
        DataError: A fold has no captions, or no query with a positive.
    """
    if correspondence.database is not None:
        queries = DatabaseRetrieval(correspondence, images)
        by_label = None if labels is None else CategoryRetrieval(labels, queries)
        yield Fold(queries.query_images, queries.query_texts, queries, by_label, {}, queries.database)
        return
    if folds > images:
        raise UsageError(f"folds={folds} must be at most the number of images, {images}")
    image_of = correspondence.caption_to_image
    for n in range(folds):
        first, last = (images * m // folds for m in (n, n + 1))
        texts = np.flatnonzero((image_of >= first) & (image_of < last)) if folds > 1 else np.arange(len(image_of))
        if len(texts) == 0:
            raise DataError(f"images {first} to {last - 1} of fold {n} have no captions; use fewer folds")
        instance, *further = (
            InstanceRetrieval(each if folds == 1 else each.part(first, last, texts), last - first)
            for each in (correspondence, *others.values())
        )
        category = None if labels is None else CategoryRetrieval(labels[first:last], instance)
        yield Fold(np.arange(first, last), texts, instance, category, dict(zip(others, further, strict=True)))


def check_positives(
    correspondence: Correspondence, others: Mapping[str, Correspondence], images: int, folds: int, has_labels: bool
) -> None:
    """Refuses further positives of unusable names or other sizes, and what needs a source image of every caption.

    Raises:
        UsageError: A name is that of a task or of a hubness correction, or holds other signs than letters, digits,
            ``-`` and ``_``.
        DataError: The counts differ, or a caption has no source image although labels, folds or further positives need
            one.
    """
    if correspondence.database is not None and (others or folds > 1):
        raise UsageError(
            "a query set against a database has neither folds nor further positives; leave them out, or evaluate "
            "without a database"
        )
    for name, each in others.items():
        if problem := positives_name_problem(name):
            raise UsageError(problem)
        each.check(images, len(correspondence.caption_to_image))
    needed = {"labels": has_labels, "folds": folds > 1, "further positives": bool(others)}
    lost = np.flatnonzero(correspondence.caption_to_image < 0)
    if len(lost) and any(needed.values()):
        raise DataError(
            f"{len(lost)} captions have no source image, the first in row {lost[0]}, but "
            f"{' and '.join(name for name, is_needed in needed.items() if is_needed)} need one of each; "
            "give caption_to_image= to Correspondence.from_pairs"
        )
