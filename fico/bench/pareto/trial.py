"""One setting of one built index: what it finds and what it takes, part of the queries after part."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from fico.bench.pareto.rival import SearchParams, tune
from fico.bench.pareto.vectors import Modality
from fico.bench.timing import Timing, once
from fico.search.base import Searcher
from fico.types import Ranking


@dataclass(frozen=True, slots=True)
class Built:
    """A built index with what building took."""

    name: str
    searcher: Searcher
    build: Timing


@dataclass(slots=True)
class Trial:
    """One setting of a built index, with what it found and took so far."""

    built: Built
    params: SearchParams
    modality: Modality
    name: str = ""
    found: dict[int, Ranking] = field(default_factory=dict)
    times: list[tuple[float, float]] = field(default_factory=list)

    def measure(self, parts: Sequence[np.ndarray], part: int, k: int) -> None:
        """Searches one part of the queries."""
        tune(self.built.searcher, self.params)
        self.found[part], timing = once(lambda: self.built.searcher.search(parts[part], k))
        self.name = self.built.searcher.name
        self.times.append((1e6 * timing.seconds / len(parts[part]), 1e6 * timing.cpu_seconds / len(parts[part])))

    @property
    def ranking(self) -> Ranking:
        """What was found for all queries."""
        found = [self.found[part] for part in sorted(self.found)]
        return Ranking(
            np.concatenate([part.scores for part in found]), np.concatenate([part.indices for part in found])
        )

    @property
    def medians(self) -> tuple[float, float]:
        """Microseconds per query, wall clock and CPU time, of the rounds after the warm-up."""
        wall, cpu = zip(*self.times[1:], strict=True)
        return median(wall), median(cpu)
