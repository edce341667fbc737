"""Hubness on the page of a run: how the items spread over N_k, and the items that are found most often."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
from jaxtyping import Float64

from fico.datasets.base import RetrievalSplit
from fico.metrics.hubness import Hubness
from fico.metrics.specification import Direction
from fico.report.html.bars import Bar, bars
from fico.report.html.samples import Item, item_of
from fico.report.results.per_query import DIRECTIONS

SHOWN = 6
GetItem = Callable[[str, int], Item]  # of a side, "image" or "text", and a row


@dataclass(frozen=True, slots=True)
class Hubs:
    """What the page shows of one direction.

    Args:
        direction: ``i2t`` (captions are found) or ``t2i``.
        k: Cut-off.
        mean: Mean of N_k over the items.
        bars: The histogram of N_k.
        hubs: The items found most often, with their N_k.
    """

    direction: Direction
    k: int
    mean: float
    bars: tuple[Bar, ...]
    hubs: tuple[tuple[Item, float], ...]


def shown_hubs(hubness: Mapping[str, Hubness], item: GetItem) -> tuple[Hubs, ...]:
    """What the page shows of every direction.

    Args:
        hubness: Of ``RetrievalResult``.
        item: Gives an item of a side by its row.
    """
    found = []
    for direction in DIRECTIONS:
        if direction in hubness:
            of, side = hubness[direction], "text" if direction == "i2t" else "image"
            counts = dict(zip(of.rows.tolist(), of.occurrences.tolist(), strict=True))
            hubs = tuple((item(side, row), counts[row]) for row in of.hubs(SHOWN).tolist())
            found.append(Hubs(direction, of.k, float(of.occurrences.mean()), _occurrence_bars(of.occurrences), hubs))
    return tuple(found)


def items_of(split: RetrievalSplit) -> GetItem:
    """Captions and pictures of a split."""
    return lambda side, row: item_of(split, side, row)


def _occurrence_bars(occurrences: Float64[np.ndarray, " items"]) -> tuple[Bar, ...]:
    """Items with N_k = 0, and those up to 1, 2, 5, 10, 20, 50 and so on."""
    ends = [0.0]
    steps = (10**power * digit for power in count() for digit in (1, 2, 5))
    while ends[-1] < occurrences.max():
        ends.append(float(next(steps)))
    names = ["0", *(f"to {end:,.0f}" for end in ends[1:])]
    items = [int((occurrences == 0).sum())]
    items += [int(((occurrences > low) & (occurrences <= high)).sum()) for low, high in pairwise(ends)]
    return bars(names, items)
