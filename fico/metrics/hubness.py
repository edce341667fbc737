"""Hubness of a direction: how unevenly its items occur among the first k of the queries."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

K = 10  # of N_k in results; fewer in a gallery of fewer items
UNIT = 2**32  # one occurrence; whole numbers, so that no sum depends on blocks, threads, processes or engine


@dataclass(frozen=True, slots=True, eq=False)
class Hubness:
    """Statistics of N_k, the number of queries that have an item among their first k.

    An item that ties at the cut-off counts with its probability to be among the first k in a random order of the tied
    items, so that N_k is its exact mean, whatever the tie rule of the metrics.

    Args:
        skew: Third standardised moment of N_k; 0 if all items occur equally often.
        never_found: Fraction of the items with N_k = 0: among the first k of no query, in no order of its ties.
        robin_hood: Fraction of all occurrences that would have to move for all items to occur equally often.
        occurrences: N_k of each item; with folds, one after the other.
        rows: Row of each of these items in the whole set.
        k: Cut-off.

    Source:
        Radovanovic et al., JMLR 2010 (skewness); Feldbauer et al., 2018, arXiv 1808.00904 (Robin Hood index).
    """

    skew: float
    never_found: float
    robin_hood: float
    occurrences: Float64[np.ndarray, " items"]
    rows: Int64[np.ndarray, " items"]
    k: int

    @classmethod
    def of(cls, occurrences: Float64[np.ndarray, " items"], rows: Int64[np.ndarray, " items"], k: int) -> "Hubness":
        """Of a single gallery."""
        mean = occurrences.mean()
        apart = occurrences - mean
        is_even = occurrences.min() == occurrences.max()
        skew = 0.0 if is_even else float((apart**3).mean() / (apart**2).mean() ** 1.5)
        robin_hood = 0.0 if is_even else float(np.abs(apart).sum() / (2 * occurrences.sum()))
        return cls(skew, float((occurrences == 0).mean()), robin_hood, occurrences, rows, k)

    @classmethod
    def mean(cls, parts: "list[Hubness]") -> "Hubness":
        """Of several folds: the statistics are their means."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            float(np.mean([part.skew for part in parts])),
            float(np.mean([part.never_found for part in parts])),
            float(np.mean([part.robin_hood for part in parts])),
            np.concatenate([part.occurrences for part in parts]),
            np.concatenate([part.rows for part in parts]),
            parts[0].k,
        )

    def hubs(self, count: int) -> Int64[np.ndarray, " hubs"]:
        """Rows of the items that occur most often, the most frequent first; equal ones in the order of the items."""
        return self.rows[np.argsort(-self.occurrences, kind="stable")[:count]]

    def __str__(self) -> str:
        """The statistics in one line."""
        never, moved = (f"{100 * value:.1f} %" for value in (self.never_found, self.robin_hood))
        return f"skew of N_{self.k} {self.skew:.2f}, never found {never}, Robin Hood {moved}"

    def values(self) -> dict[str, float]:
        """The statistics by the names that results have."""
        return {f"skew_at_{K}": self.skew, "never_found": self.never_found, "robin_hood": self.robin_hood}
