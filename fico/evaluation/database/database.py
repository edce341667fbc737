"""A database of its image_of, which the queries of an evaluation search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.evaluation.folds import Fold
from fico.metrics.specification import DIRECTIONS, Direction
from fico.similarity import check_pair
from fico.util.arrays import as_matrix

Matrix = np.ndarray | Tensor
NAMES: dict[Direction, tuple[str, str]] = {
    "i2t": ("images", "database_texts"),
    "t2i": ("database_images", "texts"),
}  # of the sides of each direction, in errors
Positives = Mapping[Direction, ArrayLike]


@dataclass(frozen=True, slots=True, eq=False)
class Database:
    """Embeddings of a database with what says which of its images each of its captions belongs to.

    Args:
        images: ``images dim``.
        texts: ``captions dim``.
        correspondence: The image row of each of its captions, within the database.
        labels: Multi-hot ``images classes``, or None.
        positives: By direction the pairs of a query's row and an item's row, ``pairs 2``.
    """

    images: Matrix
    texts: Matrix
    correspondence: Correspondence
    labels: Any = None
    positives: Positives | None = None

    @classmethod
    def of(
        cls, images: Any, texts: Any, correspondence: Correspondence | None, labels: Any, positives: Positives | None
    ) -> Self | None:
        """The database of the arguments of ``evaluate``; None without any.

        Raises:
            UsageError: Some of the first three are given without the others.
            DataError: An array is no matrix, or does not fit the correspondence.
        """
        needed = {
            "database_images": images,
            "database_texts": texts,
            "database_correspondence": correspondence,
        }
        further = {"database_labels": labels, "database_positives": positives}
        given = [name for name, value in (needed | further).items() if value is not None]
        missing = [name for name, value in needed.items() if value is None]
        if not given:
            return None
        if missing or correspondence is None:
            raise UsageError(f"got {', '.join(given)} without {', '.join(missing)}; a database needs all three")
        found = cls(
            as_matrix(images, "database_images"), as_matrix(texts, "database_texts"), correspondence, labels, positives
        )
        correspondence.check(len(found.images), len(found.texts))
        return found

    def searched(self, images: Matrix, texts: Matrix) -> dict[Direction, tuple[Matrix, Matrix]]:
        """Image and text side of each direction, of queries with the other side of the database.

        Raises:
            DataError: The sides cannot be compared.
        """
        check_pair(images, self.texts, NAMES["i2t"])
        check_pair(self.images, texts, NAMES["t2i"])
        return {"i2t": (images, self.texts), "t2i": (self.images, texts)}

    def join(self, queries: Correspondence, labels: Any, images: int) -> tuple[Correspondence, Any]:
        """Correspondence and labels of the queries, then of the database.

        Args:
            queries: The image row of each query caption.
            labels: Multi-hot labels of the query images, or None.
            images: Number of query images.

        Raises:
            UsageError: One side alone has labels, or pairs were given in place of source images.
            DataError: The labels have different classes, or a positive lies outside the queries or the database.
        """
        if any(part.pairs is not None or part.database is not None for part in (queries, self.correspondence)):
            raise UsageError(
                "with a separate database a correspondence names only the source image of each caption; give positives "
                "between queries and database as database_positives="
            )
        count, captions = images + len(self.images), len(queries.caption_to_image)
        image_of = np.concatenate([queries.caption_to_image, images + self.correspondence.caption_to_image])
        joined = Correspondence(image_of) if self.positives is None else self._with_pairs(image_of, images, captions)
        return joined.with_database(np.arange(images, count)), _join_labels(labels, self.labels)

    def _with_pairs(self, image_of: np.ndarray, images: int, captions: int) -> Correspondence:
        assert self.positives is not None
        sizes: dict[Direction, tuple[int, int]] = {
            "i2t": (images, len(self.texts)),
            "t2i": (captions, len(self.images)),
        }
        if unknown := [str(way) for way in self.positives if way not in DIRECTIONS]:
            raise UsageError(f"database_positives has {', '.join(unknown)}; give i2t, t2i or both")
        pairs = {way: _checked(way, self.positives[way], *sizes[way]) for way in DIRECTIONS if way in self.positives}
        nothing = np.zeros((0, 2), dtype=np.int64)
        i2t, t2i = pairs.get("i2t", nothing), pairs.get("t2i", nothing)
        return Correspondence.from_pairs(
            np.concatenate([i2t[:, 0], images + t2i[:, 1]]),
            np.concatenate([captions + i2t[:, 1], t2i[:, 0]]),
            images=images + len(self.images),
            captions=len(image_of),
            caption_to_image=image_of,
        )


def parts_of(fold: Fold, images: Matrix, texts: Matrix) -> dict[Direction, tuple[Matrix, Matrix]]:
    """The same of embeddings in which queries and database stand together."""
    sides = {way: fold.rows(way) for way in DIRECTIONS}
    return {
        "i2t": (take(images, sides["i2t"][0]), take(texts, sides["i2t"][1])),
        "t2i": (take(images, sides["t2i"][1]), take(texts, sides["t2i"][0])),
    }


def take(array: Matrix, rows: np.ndarray) -> Matrix:
    """Rows of an array, without a copy where they are contiguous."""
    if len(rows) == rows[-1] - rows[0] + 1:
        return array[int(rows[0]) : int(rows[-1]) + 1]
    return array[rows]


def _checked(direction: Direction, pairs: ArrayLike, queries: int, items: int) -> np.ndarray:
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"database_positives[{direction!r}] has shape {array.shape} and dtype {array.dtype}; give whole numbers, "
            "pairs x 2: the query's row and the item's"
        )
    outside = np.flatnonzero(((array < 0) | (array >= np.array([queries, items]))).any(axis=1))
    if len(outside):
        raise DataError(
            f"pair {outside[0]} of database_positives[{direction!r}] is {array[outside[0]].tolist()}, but there are "
            f"{queries} queries and {items} items"
        )
    return array.astype(np.int64)


def _join_labels(queries: Any, database: Any) -> Any:
    if (queries is None) != (database is None):
        lacking, given = ("labels", "database_labels") if queries is None else ("database_labels", "labels")
        raise UsageError(f"got {given} without {lacking}; the category task compares both")
    if queries is None:
        return None
    first, second = (side.detach().cpu().numpy() if isinstance(side, Tensor) else np.asarray(side)
                     for side in (queries, database))  # fmt: skip
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise DataError(
            f"labels have shape {first.shape} and database_labels {second.shape}; give multi-hot labels with the same "
            "classes"
        )
    return np.concatenate([first, second])
