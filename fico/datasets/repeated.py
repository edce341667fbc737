"""A test set repeated to any size without a copy: rows, ids and the correspondence are computed when asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from jaxtyping import Int64, Shaped

from fico.errors import UsageError
from fico.types import Correspondence

PAPER_IMAGES = (10_000, 50_000, 100_000, 500_000, 1_000_000)  # each with five captions
BLOCK = 65_536  # rows given at once


@dataclass(frozen=True, slots=True, eq=False)
class RepeatedRows:
    """Rows of an array again and again; what is asked for is gathered, the rest takes no memory.

    Args:
        rows: The array.
        order: Rows of one round.
        last: Rows of the unfinished round behind the whole ones, a part of ``order``.
        rounds: Number of whole rounds.
    """

    rows: Shaped[np.ndarray, "rows ..."]
    order: Int64[np.ndarray, " round"]
    last: Int64[np.ndarray, " last"]
    rounds: int

    def __len__(self) -> int:
        return self.rounds * len(self.order) + len(self.last)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the whole array."""
        return (len(self), *self.rows.shape[1:])

    def sources(self, places: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Which row of the array stands at each place."""
        rounds, inside = np.divmod(places, len(self.order))
        is_last = rounds >= self.rounds
        found: np.ndarray = self.order[inside]
        if is_last.any():
            found[is_last] = self.last[inside[is_last]]
        return found

    def __getitem__(self, places: slice | int | Int64[np.ndarray, " n"]) -> np.ndarray:
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        wanted = np.atleast_1d(np.asarray(places, dtype=np.int64))
        if wanted.size and (wanted.min() < -len(self) or wanted.max() >= len(self)):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} are not among {len(self)}")
        found: np.ndarray = self.rows[self.sources(wanted % len(self))]
        return found[0] if isinstance(places, int) else found

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """All rows in order, ``size`` at a time, as a searcher's ``add`` takes them."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


class RepeatedIds(Sequence[str]):
    """Ids of repeated rows: those of the first round as they are, later ones with ``#<round>`` behind them.

    Args:
        ids: Of the array's rows.
        rows: Says which row stands where.
    """

    def __init__(self, ids: Sequence[str], rows: RepeatedRows) -> None:
        self._ids, self._rows = ids, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Sequence[str]": ...
    def __getitem__(self, place: int | slice) -> "str | Sequence[str]":
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place %= len(self)
        name = self._ids[int(self._rows.sources(np.array([place]))[0])]
        turn = place // len(self._rows.order)
        return f"{name}#{turn}" if turn else name


class ScaledSet:
    """A test set of ``images`` images, made of a smaller one by repeating it, all captions with their image.

    Repeated items are equal, so they tie: the set says what a search costs, not how well it finds.

    Args:
        images: Embeddings or features, one row an image.
        texts: One row a caption.
        correspondence: Image row of each caption.
        size: Number of images, at least one.

    Raises:
        UsageError: ``size`` is below 1.

    Source:
        The duplication of FiCo-ITR, arXiv 2407.20114: 10K images and 50K captions up to 1M and 5M.
    """

    def __init__(
        self,
        images: Shaped[np.ndarray, "images ..."],
        texts: Shaped[np.ndarray, "captions ..."],
        correspondence: Correspondence,
        size: int,
    ) -> None:
        if size < 1:
            raise UsageError(f"a set of {size} images has none to search; give 1 or more")
        correspondence.check(len(images), len(texts))
        self._owners = correspondence.caption_to_image
        rounds, rest = divmod(size, len(images))
        every, captions = np.arange(len(images)), np.arange(len(texts))
        self.images = RepeatedRows(images, every, every[:rest], rounds)
        self.texts = RepeatedRows(texts, captions, captions[self._owners < rest], rounds)

    def image_of(self, captions: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Image place of each caption place, in its own round."""
        rounds = captions // len(self.texts.order)
        found: np.ndarray = rounds * len(self.images.order) + self._owners[self.texts.sources(captions)]
        return found

    @cached_property
    def correspondence(self) -> Correspondence:
        """That of all captions, eight bytes each: the only array that is as large as the set."""
        return Correspondence(self.image_of(np.arange(len(self.texts))))
