"""Relevance of a database to queries that are not in it, in rows of the whole set."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from fico.correspondence import Correspondence
from fico.errors import UsageError
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import InstanceRetrieval, Rows, rows_of
from fico.metrics.specification import DIRECTIONS, Direction


class DatabaseRetrieval(InstanceRetrieval):
    """Query images against the captions of the database, and query captions against its images.

    Args:
        correspondence: With a database; pairs of a query and an item of the database are its positives.
        images: Number of images, queries and database together.

    Attributes:
        query_images: Rows of the query images.
        query_texts: Rows of their captions.
        database: Rows of the images and of the captions that are searched.
    """

    def __init__(self, correspondence: Correspondence, images: int) -> None:
        super().__init__(correspondence, images)
        self._rows = correspondence.searched(images)
        (self.query_images, texts), (self.query_texts, searched) = self._rows["i2t"], self._rows["t2i"]
        self.database = (searched, texts)
        sizes = {"i2t": len(self.caption_to_image), "t2i": images}
        self._positives = {way: _among(self._positives[way], *self._rows[way], sizes[way]) for way in DIRECTIONS}

    def images_of(self, direction: Direction) -> tuple[Int64[np.ndarray, " queries"], Int64[np.ndarray, " items"]]:
        """Own image row of each query and of each item, in the whole set."""
        queries, items = self._rows[direction]
        image_of = self.caption_to_image
        return (queries, image_of[items]) if direction == "i2t" else (image_of[queries], items)

    def are_images(self, direction: Direction) -> bool:
        """Never: the items are the images of the database alone."""
        return False

    def items_of_images(self, direction: Direction) -> Rows:
        """Items of each image of the whole set, as (start, items); a query image has none."""
        return rows_of(self.images_of(direction)[1], self.images)

    def clusters(self, direction: Direction) -> Int64[np.ndarray, " queries"]:
        """Position among the query images of the one with which each query is resampled."""
        return np.searchsorted(self.query_images, self.images_of(direction)[0])


def _among(positives: Rows, queries: np.ndarray, items: np.ndarray, count: int) -> Rows:
    """Positives of these queries among these items, both counted from 0."""
    starts, found = positives
    position = np.full(count, -1)
    position[items] = np.arange(len(items))
    number = np.full(len(starts) - 1, -1)
    number[queries] = np.arange(len(queries))
    pairs = np.stack([number[np.repeat(np.arange(len(number)), np.diff(starts))], position[found]])
    pairs = pairs[:, (pairs >= 0).all(axis=0)]
    first, order = rows_of(pairs[0], len(queries))
    return first, pairs[1][order]


def database_options(
    correspondence: Correspondence, images: int, options: EvaluationOptions, has_labels: bool
) -> tuple[EvaluationOptions, tuple[str, ...]]:
    """Options without the instance task where no query has a positive in the database, and notes that say so.

    Raises:
        UsageError: No task is left.
    """
    if correspondence.database is None:
        return options, ()
    searched = np.isin(correspondence.caption_to_image, correspondence.database)
    images_in_it, captions = len(correspondence.database), int(searched.sum())
    extent = (
        f"{images - images_in_it:,} query images and {len(searched) - captions:,} query captions search a database of "
        f"{images_in_it:,} images and {captions:,} captions"
    )
    if _has_pairs(correspondence, searched):
        return options, (extent,)
    if not has_labels or "category" not in options.tasks:
        raise UsageError(
            "no query has a positive in the database, so that there is no instance task; give labels for the category "
            "task, or pairs of queries and items of the database"
        )
    note = "instance metrics do not apply: no query has a positive in the database"
    return replace(options, tasks=("category",)), (extent, note) if "instance" in options.tasks else (extent,)


def _has_pairs(correspondence: Correspondence, searched: Bool[np.ndarray, " captions"]) -> bool:
    """Whether some query and some item of the database are a pair."""
    if correspondence.pairs is None or correspondence.database is None:
        return False
    images, captions = correspondence.pairs.T
    return bool((np.isin(images, correspondence.database) != searched[captions]).any())
