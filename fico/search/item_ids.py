"""The ids of an index: which row is which item, which rows may be found, and who may change them when."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fico.errors import DataError, UsageError
from fico.search.base import Ids, check_k
from fico.search.index_file import Arrays, Settings
from fico.types import Ranking
from fico.util.locks.shared_lock import SharedLock

Mask = np.ndarray  # " rows", bool: which rows may be found


class ItemIds:
    """Ids of the rows that a searcher took: a caller's, or numbers that count from 0 and are never used again.

    Rows stay where they are when others are removed; a row that was removed is found no more.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._lock = SharedLock()
        self._is_whole = True
        self._given: np.ndarray | None = None  # id of each row: int64, or str as objects
        self._row_of: dict[Any, int] = {}  # of the given ids that are held
        self._held: Mask | None = None  # None: all rows

    @property
    def count(self) -> int:
        """Items that can be found."""
        return self.rows if self._held is None else int(self._held.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of the ids, and of what says which rows are held."""
        held = 0 if self._held is None else self._held.nbytes
        if self._given is None or self._given.dtype != object:
            return held + (0 if self._given is None else int(self._given.nbytes))
        return held + sum(len(name.encode()) for name in self._given)

    def changing(self) -> Any:
        """While it is open nobody else changes or searches the index."""
        return self._lock.changing()

    @contextmanager
    def taking(self, count: int, ids: Ids | None) -> Iterator[None]:
        """Around what takes checked rows; where that fails half-way the index is refused from then on.

        Args:
            count: Rows.
            ids: Their ids, all int from 0 or all str, none of them held. None: numbers.

        Raises:
            DataError: Ids that are not of one kind, too few or too many, twice the same, or held already (it is named).
            UsageError: Earlier items came with ids and these do not or the reverse, or an earlier ``add`` failed.
        """
        self.check_whole()
        if self.rows and (ids is None) != (self._given is None):
            raise UsageError(
                f"the index holds items {'without' if self._given is None else 'with'} ids of the caller's; pass ids= "
                "with every add or with none"
            )
        fresh = None if ids is None else self._fresh(count, ids)
        self._is_whole = False
        yield
        self._is_whole = True
        if fresh is not None:
            self._row_of.update(zip(fresh.tolist(), range(self.rows, self.rows + count), strict=True))
            self._given = fresh if self._given is None else np.concatenate([self._given, fresh])
        if self._held is not None:
            self._held = np.concatenate([self._held, np.ones(count, bool)])
        self.rows += count

    def check_whole(self) -> None:
        """Refuses an index that holds half of an ``add``.

        Raises:
            UsageError: A call of ``add`` failed.
        """
        if not self._is_whole:
            raise UsageError("an add() failed half-way, so ids and items do not fit together; build the index again")

    def _fresh(self, count: int, ids: Ids) -> np.ndarray:
        listed = _listed(ids)
        if len(listed) != count:
            raise DataError(f"there are {len(listed)} ids for {count} items; give one for each")
        twice = next((one for one, seen in _with_seen(listed, self._row_of) if seen), None)
        if twice is not None:
            raise DataError(f"the id {twice!r} is there already; remove([{twice!r}]) first, or give another")
        fresh = np.array(listed, object if isinstance(listed[0], str) else np.int64)
        if self._given is not None and fresh.dtype != self._given.dtype:
            raise DataError(f"the id {listed[0]!r} is not of the kind of {self._given[0]!r}; give int or str with all")
        return fresh

    def remove(self, ids: Ids) -> None:
        """Makes items unfindable, once the searches that run have ended.

        Raises:
            DataError: An id is not held (it is named); nothing is removed then.
        """
        with self.changing():
            listed = _listed(ids)
            rows = self._rows_of(listed)
            if (rows < 0).any():
                raise DataError(f"the id {listed[int((rows < 0).argmax())]!r} is not held, so it cannot be removed")
            held = np.ones(self.rows, bool) if self._held is None else self._held.copy()
            held[rows] = False
            self._held = held
            if self._given is not None:
                for one in listed:
                    self._row_of.pop(one, None)

    def _rows_of(self, listed: Sequence[int] | Sequence[str]) -> np.ndarray:
        """Row of each id, -1 where it is not held."""
        if self._given is not None:
            return np.array([self._row_of.get(one, -1) for one in listed], np.int64)
        if listed and isinstance(listed[0], str):
            raise DataError(f"{listed[0]!r} is a str, but the ids of this index are numbers from 0; give those")
        rows = np.array(listed, np.int64)
        rows[rows >= self.rows] = -1
        if self._held is not None:
            rows[~self._held[rows]] = -1
        return rows

    @contextmanager
    def searching(
        self, k: int, allowed: Ids | None, prepare: Callable[[], object] | None = None
    ) -> Iterator[tuple[int, Mask | None]]:
        """While it is open others may search, and nobody changes the index.

        Args:
            k: Items of each query.
            allowed: Ids that may be found; those that are not held allow nothing. None: all.
            prepare: Puts in order what ``add`` took; called where there are items.

        Yields:
            ``k`` as Python's integer, and which rows may be found; None where all may.

        Raises:
            UsageError: Nothing was added, an ``add`` failed, or k is below 1 or above the number of items that may be
                found.
            DataError: Ids of another kind.
        """
        with self._lock.reading(None if prepare is None else lambda: prepare() if self.rows else None):
            self.check_whole()
            mask = self._mask(allowed)
            if allowed is not None and self.rows:
                found = int(mask.sum())  # type: ignore[union-attr]
                if not found:
                    raise UsageError("the index holds none of the allowed ids; allow some of those that were added")
                yield check_k(k, found, "allowed items"), mask
            else:
                yield check_k(k, self.count), mask

    def _mask(self, allowed: Ids | None) -> Mask | None:
        if allowed is None:
            return self._held
        rows = self._rows_of(_listed(allowed))
        mask = np.zeros(self.rows, bool)
        mask[rows[rows >= 0]] = True
        return mask

    def named(self, found: Ranking) -> Ranking:
        """A ranking of rows as one of ids; -1, or None among str, stays for no item."""
        if self._given is None:
            return found
        none: Any = None if self._given.dtype == object else -1
        ids = self._given[np.maximum(found.indices, 0)]
        ids[found.indices < 0] = none
        return Ranking(found.scores, ids)

    def state(self) -> tuple[Settings, Arrays]:
        """Settings and arrays for an index file."""
        arrays = {} if self._held is None else {"ids_held": self._held}
        kind = None if self._given is None else "str" if self._given.dtype == object else "int"
        if kind == "int":
            arrays["ids"] = np.asarray(self._given)
        elif kind == "str":
            coded = [name.encode() for name in np.asarray(self._given)]
            arrays["ids"] = np.frombuffer(b"".join(coded), np.uint8)
            arrays["ids_lengths"] = np.array([len(name) for name in coded], np.int64)
        return {"rows": self.rows, "kind": kind}, arrays

    @classmethod
    def restored(cls, settings: Settings | None, arrays: Arrays, rows: int) -> "ItemIds":
        """What ``state`` described.

        Args:
            settings: None, as in files of versions that had no ids: numbers.
            arrays: Those of the file.
            rows: That the index holds.
        """
        ids = cls()
        ids.rows, kind = rows, settings and settings["kind"]
        ids._held = arrays.get("ids_held")
        if kind == "int":
            ids._given = arrays["ids"]
        elif kind == "str":
            ends = np.cumsum(arrays["ids_lengths"]).tolist()
            joined = arrays["ids"].tobytes()
            names = [joined[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
            ids._given = np.array(names, object)
        if ids._given is not None:
            held = np.arange(rows) if ids._held is None else np.flatnonzero(ids._held)
            ids._row_of = dict(zip(ids._given[held].tolist(), held.tolist(), strict=True))
        return ids


def _listed(ids: Ids) -> list[int] | list[str]:
    """Ids as Python's own int or str.

    Raises:
        DataError: Some are neither, or below 0, or both kinds occur.
    """
    if isinstance(ids, str):
        raise DataError(f"the ids are one str, {ids!r}; give a list of them")
    listed = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    if all(isinstance(one, str) for one in listed):
        return [str(one) for one in listed]
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, int | np.integer) or not 0 <= one < 2**63:
            raise DataError(f"the id {one!r} is neither a whole number from 0 to 2**63 - 1 nor a str as all others are")
    return [int(one) for one in listed]


def _with_seen(listed: Sequence[Any], held: dict[Any, int]) -> Iterator[tuple[Any, bool]]:
    seen: set[Any] = set()
    for one in listed:
        yield one, one in held or one in seen
        seen.add(one)
