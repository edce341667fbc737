"""Which images and captions belong together, and which of them are a database that the others search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import ArrayLike

from fico.errors import DataError

NO_IMAGE = -1  # in place of the source image of a caption that has none


@dataclass(frozen=True, slots=True, eq=False)
class Correspondence:
    """Which captions and images are relevant to each other. Data, never guessed from shapes, ratios or order.

    ``Correspondence(caption_to_image)``: each caption belongs to one image, and the two are relevant to each other.
    `from_pairs`: any number of positives of each query, besides the image that a caption belongs to.

    Args:
        caption_to_image: For each caption the row of its source image, from 0: the image it was written for, whose
            labels it inherits and with which it is resampled. Captions may stand in any order, and images may have
            different numbers of captions, none too. -1 where a caption has no source image, which only `from_pairs`
            allows.

    Raises:
        DataError: The array is empty, not one-dimensional, not of integers, or holds a negative row.
    """

    caption_to_image: Int64[np.ndarray, " captions"]
    images: int | None
    """Number of images, where pairs were given; else the embeddings or scores say it."""
    pairs: Int64[np.ndarray, "pairs 2"] | None
    """Image and caption row of each relevant pair, once, in ascending order; None where the source image is all."""
    image_queries: Bool[np.ndarray, " images"] | None
    """Images whose positives are known; None: all."""
    caption_queries: Bool[np.ndarray, " captions"] | None
    """Captions whose positives are known; None: all."""
    database: Int64[np.ndarray, " database"] | None
    """Rows of the images that form a database with their captions, ascending; None: every row is query and item."""

    def __init__(self, caption_to_image: ArrayLike) -> None:
        rows = _whole(caption_to_image, "caption_to_image", "image row per caption")
        if (rows < 0).any():
            caption = int(np.flatnonzero(rows < 0)[0])
            raise DataError(f"caption {caption} has image row {rows[caption]}; image rows start at 0")
        self._set(rows)

    @classmethod
    def from_pairs(
        cls,
        image_rows: ArrayLike,
        caption_rows: ArrayLike,
        *,
        images: int,
        captions: int,
        caption_to_image: ArrayLike | None = None,
        image_queries: ArrayLike | None = None,
        caption_queries: ArrayLike | None = None,
    ) -> Self:
        """Any number of positives of each query; queries without any are left out.

        A pair counts in both directions, unless its query is none: annotations often name the positives of some images
        and of some captions only.

        Args:
            image_rows: For each pair the row of the image, from 0. A pair that stands twice counts once.
            caption_rows: For each pair the row of the caption.
            images: Number of images, those without a pair too.
            captions: Number of captions.
            caption_to_image: Row of each caption's source image; by default the image of a caption with a single pair,
                and none for the others.
            image_queries: Rows of the images that are queries; by default all.
            caption_queries: Rows of the captions that are queries.

        Raises:
            DataError: There is no pair, the two lists have different lengths, a row lies outside the images or captions
                (it is named), or no query with a positive is left.
        """
        pairs = _pairs(image_rows, caption_rows, images, captions)
        image_of = (
            _source_images(pairs, captions) if caption_to_image is None else cls(caption_to_image).caption_to_image
        )
        sides = (
            _mask(image_queries, images, "image_queries", pairs[:, 0]),
            _mask(caption_queries, captions, "caption_queries", pairs[:, 1]),
        )
        made = cls._made(image_of, images, pairs, *sides)
        made.check(images, captions)
        return made

    @classmethod
    def from_plain(cls, caption_to_image: ArrayLike, pairs: Mapping[str, Any] | None) -> Self:
        """What `plain_pairs` gave, and the source images.

        Raises:
            DataError: As `from_pairs`.
        """
        if pairs is None:
            return cls(caption_to_image)
        image_of = np.asarray(caption_to_image, dtype=np.int64)
        found = cls.from_pairs(**pairs, captions=len(image_of))
        found._set(image_of, found.images, found.pairs, found.image_queries, found.caption_queries)
        found.check(pairs["images"], len(image_of))
        return found

    def plain_pairs(self) -> dict[str, Any] | None:
        """Pairs and queries as lists and numbers that JSON holds; None where the source image is all."""
        if self.pairs is None:
            return None
        rows = dict(zip(("image_rows", "caption_rows"), self.pairs.T.tolist(), strict=True))
        masks = {"image_queries": self.image_queries, "caption_queries": self.caption_queries}
        queries = {name: None if mask is None else np.flatnonzero(mask).tolist() for name, mask in masks.items()}
        return {"images": self.images, **rows, **queries}

    def _set(
        self,
        caption_to_image: np.ndarray,
        images: int | None = None,
        pairs: np.ndarray | None = None,
        image_queries: np.ndarray | None = None,
        caption_queries: np.ndarray | None = None,
        database: np.ndarray | None = None,
    ) -> None:
        object.__setattr__(self, "caption_to_image", caption_to_image)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "image_queries", image_queries)
        object.__setattr__(self, "caption_queries", caption_queries)
        object.__setattr__(self, "database", database)

    def with_database(self, image_rows: ArrayLike) -> "Correspondence":
        """The same, where these images and their captions are a database, and all others are queries that search it.

        Query images search the captions of the database, query captions its images, as the hashing literature does.

        Args:
            image_rows: Rows of the images of the database, in any order.

        Raises:
            DataError: The rows are no list of integers, or a row occurs twice or is negative; a caption has no source
                image, which says on which side it is.
        """
        rows = np.sort(_whole(image_rows, "database", "row per image of the database"))
        if rows[0] < 0 or (np.diff(rows) == 0).any():
            wrong = rows[0] if rows[0] < 0 else rows[1:][np.diff(rows) == 0][0]
            raise DataError(f"the database names image row {wrong}; give rows from 0, each once")
        if (self.caption_to_image < 0).any():
            raise DataError(
                f"{int((self.caption_to_image < 0).sum())} captions have no source image, which says whether "
                "they are queries or in the database; give caption_to_image= to Correspondence.from_pairs"
            )
        made = self.__new__(type(self))
        made._set(self.caption_to_image, self.images, self.pairs, self.image_queries, self.caption_queries, rows)
        return made

    def searched(self, images: int) -> dict[Literal["i2t", "t2i"], tuple[np.ndarray, np.ndarray]]:
        """Rows of the queries and of the items that they search, by direction: all of them without a database.

        Args:
            images: Number of images.
        """
        captions = np.arange(len(self.caption_to_image))
        if self.database is None:
            return {"i2t": (np.arange(images), captions), "t2i": (captions, np.arange(images))}
        is_searched = np.zeros(images, dtype=bool)
        is_searched[self.database] = True
        of_caption = is_searched[self.caption_to_image]
        return {
            "i2t": (np.flatnonzero(~is_searched), np.flatnonzero(of_caption)),
            "t2i": (np.flatnonzero(~of_caption), np.flatnonzero(is_searched)),
        }

    @property
    def least_images(self) -> int:
        """Number of images that it speaks of: one more than the last source image where none was given."""
        return int(self.caption_to_image.max()) + 1 if self.images is None else self.images

    def check(self, images: int, captions: int) -> None:
        """Compare with the counts of the embeddings or scores that it shall describe.

        Raises:
            DataError: The number of captions or images differs, or a caption points behind the last image.
        """
        if len(self.caption_to_image) != captions:
            raise DataError(
                f"the correspondence has {len(self.caption_to_image)} captions, but {captions} were given; "
                "it needs one image row per caption"
            )
        if self.images is not None and self.images != images:
            raise DataError(
                f"the pairs were given for {self.images} images, but there are {images}; give images={images} to "
                "Correspondence.from_pairs"
            )
        if self.database is not None and not (self.database[-1] < images and len(self.database) < images):
            raise DataError(
                f"the database has {len(self.database)} image rows up to {self.database[-1]}, but there are {images} "
                "images, of which some must be queries; give rows of the images, and not all"
            )
        last = int(self.caption_to_image.max())
        if last >= images:
            caption = int(self.caption_to_image.argmax())
            raise DataError(
                f"caption {caption} belongs to image row {last}, but only {images} images were given "
                f"(rows 0 to {images - 1})"
            )

    def part(self, first: int, last: int, captions: Int64[np.ndarray, " part"]) -> "Correspondence":
        """The images from ``first`` to before ``last`` and these of their captions, counted from 0.

        Pairs with other images and captions are left out, so a query may lose all its positives.

        Raises:
            DataError: No query with a positive is left.
        """
        image_of = self.caption_to_image[captions] - first
        if self.pairs is None:
            return Correspondence(image_of)
        count, position = last - first, np.full(len(self.caption_to_image), -1)
        position[captions] = np.arange(len(captions))
        pairs = np.stack([self.pairs[:, 0] - first, position[self.pairs[:, 1]]], axis=1)
        pairs = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] < count) & (pairs[:, 1] >= 0)]
        masks = (
            None if self.image_queries is None else self.image_queries[first:last],
            None if self.caption_queries is None else self.caption_queries[captions],
        )
        for side, mask in enumerate(masks):
            if len(pairs) == 0 or not (mask is None or mask[pairs[:, side]].any()):
                raise DataError(
                    f"images {first} to {last - 1} and their captions have no query with a positive; use fewer folds"
                )
        return self._made(np.where((image_of >= 0) & (image_of < count), image_of, NO_IMAGE), count, pairs, *masks)

    @classmethod
    def _made(cls, image_of: np.ndarray, images: int, pairs: np.ndarray, *queries: np.ndarray | None) -> Self:
        made = cls.__new__(cls)
        made._set(image_of, images, pairs, *queries)
        return made


def _whole(rows: ArrayLike, name: str, meaning: str) -> Int64[np.ndarray, " rows"]:
    array = np.asarray(rows)
    if array.shape == (0,):
        raise DataError(f"{name} is empty; give one {meaning}, at least one")
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; give one {meaning}, as a list of integers")
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{name} has dtype {array.dtype}; rows are integers")
    return array.astype(np.int64)


def _pairs(image_rows: ArrayLike, caption_rows: ArrayLike, images: int, captions: int) -> Int64[np.ndarray, "pairs 2"]:
    """Distinct pairs in ascending order."""
    sides = (("image", _whole(image_rows, "image_rows", "image row per pair"), images),
             ("caption", _whole(caption_rows, "caption_rows", "caption row per pair"), captions))  # fmt: skip
    if len(sides[0][1]) != len(sides[1][1]):
        raise DataError(
            f"there are {len(sides[0][1])} image rows and {len(sides[1][1])} caption rows; a pair needs one of each"
        )
    for name, rows, count in sides:
        outside = np.flatnonzero((rows < 0) | (rows >= count))
        if len(outside):
            raise DataError(
                f"pair {outside[0]} has {name} row {rows[outside[0]]}, but there are {count} {name}s "
                f"(rows 0 to {count - 1})"
            )
    number = np.unique(sides[0][1] * captions + sides[1][1])
    return np.stack([number // captions, number % captions], axis=1)


def _source_images(pairs: Int64[np.ndarray, "pairs 2"], captions: int) -> Int64[np.ndarray, " captions"]:
    image_of = np.full(captions, NO_IMAGE, np.int64)
    image_of[pairs[:, 1]] = pairs[:, 0]
    image_of[np.bincount(pairs[:, 1], minlength=captions) != 1] = NO_IMAGE
    return image_of


def _mask(rows: ArrayLike | None, count: int, name: str, paired: Int64[np.ndarray, " pairs"]) -> np.ndarray | None:
    """Rows as a mask, of which at least one has a pair."""
    if rows is None:
        return None
    chosen = _whole(rows, name, "row per query")
    outside = np.flatnonzero((chosen < 0) | (chosen >= count))
    if len(outside):
        raise DataError(f"{name} names row {chosen[outside[0]]}, but there are {count} (rows 0 to {count - 1})")
    mask = np.zeros(count, dtype=bool)
    mask[chosen] = True
    if not mask[paired].any():
        raise DataError(f"none of the {len(chosen)} {name} has a pair; give the rows of queries with known positives")
    return mask
