"""One kind of index in the comparison: how it is made, tuned and predicted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fico.bench.timing import Timing, once
from fico.search.base import Searcher
from fico.search.faiss_index import FaissSearch
from fico.search.itq import ITQ

SearchParams = Mapping[str, float]


class SharedBinarisers:
    """ITQ of each code length, fitted once on the items and shared by all indexes that use it.

    Args:
        items: Floats to learn from.
    """

    def __init__(self, items: np.ndarray) -> None:
        self._items = items
        self._learnt: dict[int, tuple[ITQ, Timing]] = {}
        self.fit_times: list[Timing] = []
        """Time of fitting, once for each index that uses it: every index is charged for it."""

    def __call__(self, bits: int) -> ITQ:
        """The fitted binariser."""
        if bits not in self._learnt:
            self._learnt[bits] = once(lambda: ITQ(bits).fit(self._items))
        binariser, timing = self._learnt[bits]
        self.fit_times.append(timing)
        return binariser


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What the maker of an index needs to know.

    Args:
        items: That will be added.
        dim: Numbers in an item.
        threads: Cores.
        binariser: Gives the ITQ of a code length.
    """

    items: int
    dim: int
    threads: int
    binariser: SharedBinarisers


@dataclass(frozen=True, slots=True)
class Rival:
    """One kind of index.

    Args:
        make: Makes the empty index.
        search_params: What is tried on the one built index, by the names of its library.
        vector_bytes: Bytes of one item, from its dimensions, for the prediction.
        microseconds: A query's cost, from items and dimensions, for the prediction.
        needs_unit_rows: It knows Euclidean distance alone, which orders rows of length 1 as the inner product does.
    """

    make: Callable[[BuildContext], Searcher]
    search_params: Sequence[SearchParams]
    vector_bytes: Callable[[int], float]
    microseconds: Callable[[int, int], float]
    needs_unit_rows: bool = False


def tune(searcher: Searcher, params: SearchParams) -> None:
    """Sets search parameters of a built index."""
    if isinstance(searcher, FaissSearch):
        searcher.set_search_params(params)
        return
    for name, value in params.items():
        setattr(searcher, name, value)


def params_text(params: SearchParams) -> str:
    """``nprobe=16 k_factor_rf=5``."""
    return " ".join(f"{name}={value:g}" for name, value in params.items())
