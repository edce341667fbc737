"""Every rival over its search parameters on the same data: speed, recall and memory, and the Pareto frontier."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fico.bench.checks import check_counts, check_names
from fico.bench.machine import conditions
from fico.bench.outcome import Outcome, Report
from fico.bench.pareto.figure import draw
from fico.bench.pareto.frontier import mark_dominated
from fico.bench.pareto.gpu_rivals import GPU_RIVALS
from fico.bench.pareto.rival import BuildContext, SharedBinarisers, params_text
from fico.bench.pareto.rivals import RIVALS, absent
from fico.bench.pareto.tables import settings_table, speed_up_table
from fico.bench.pareto.trial import Built, Trial
from fico.bench.pareto.vectors import Modality, VectorsSource
from fico.bench.timing import Timing, once
from fico.bench.truth import exact_by_stream, recalls_by_item
from fico.errors import UsageError
from fico.util.progress import track
from fico.util.resources import require_memory

_BLOCK = 16_384
_PROCESS_BYTES = 2**29


@dataclass(frozen=True, slots=True)
class Pareto:
    """What to compare. All indexes lie in memory together, so that their timed rounds can alternate.

    Args:
        queries: Queries of each modality, all searched once by every setting and all compared with the exact answer.
        items: Items.
        dim: Numbers in a vector.
        seed: Of the data.
        data: ``two_maps``, ``sine`` or a file, as `VectorsSource` has them; and so the four that follow.
        gap: Of ``two_maps``: length of the offset between the modalities.
        noise: Of ``two_maps``.
        query_data: File of the queries.
        query_modality: Of the queries in a file: ``other`` or ``same``.
        rivals: Which of ``RIVALS``; those that need a GPU or a library that is not there are marked absent.
        baseline: The rival that speed-ups refer to.
        k: Items per query.
        rounds: Timed rounds after the warm-up; each goes through all settings, so that a change in the machine's load
            meets them alike. In each round a setting searches another part of the queries, and not the part that the
            setting before it did: what a query needs is not in the cache yet. Medians count.
        threads: Cores; CPU time on one is the steadiest measure.
    """

    queries: int = 2000
    items: int = 50_000
    dim: int = 2048
    seed: int = 1338
    data: str = "two_maps"
    gap: float = 0.1
    noise: float = 0.25
    query_data: str | None = None
    query_modality: str = "other"
    rivals: Sequence[str] = tuple(RIVALS)
    baseline: str = "hnsw"
    k: int = 10
    rounds: int = 3
    threads: int = 1

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Seconds of each rival, from rates of one core of 2025, and the bytes that are held once it is built."""
        modalities = len(self._source.modalities)
        held = 4.0 * self.dim * (self.items + modalities * self.queries) + _PROCESS_BYTES
        costs = {"data": (self.items * self.dim / 1e7, held)}
        for name in self.rivals:
            rival = RIVALS[name]
            if absent(name):
                continue
            asked = modalities * self.queries
            once_through = len(rival.search_params) * asked * rival.microseconds(self.items, self.dim) / 1e6
            build = self.items * self.dim / (4e6 if "hnsw" in name else 4e7) / self.threads
            held += self.items * rival.vector_bytes(self.dim)
            costs[name] = build + once_through, held
        return costs

    @property
    def _source(self) -> VectorsSource:
        where = self.data, self.items, self.queries, self.dim, self.seed
        return VectorsSource(*where, self.gap, self.noise, self.query_data, self.query_modality)

    def check(self) -> None:
        """Refuses what is out of range and what does not fit into memory.

        Raises:
            UsageError: The key or the predicted size is named.
            DataError: The file of the vectors cannot be read.
        """
        check_names(self.rivals, tuple(RIVALS), "bench.rivals")
        check_names([self.baseline], tuple(RIVALS), "bench.baseline")
        check_counts(self, ("queries", "items", "dim", "k", "rounds", "threads"))
        if self.baseline not in self.rivals:
            raise UsageError(f"bench.baseline is {self.baseline!r}, which is not among bench.rivals; add it to them")
        if self.queries <= self.rounds:
            raise UsageError(
                f"bench.queries is {self.queries}; the warm-up and each of {self.rounds} rounds search others: give "
                f"{self.rounds + 1} or more"
            )
        if self.k > self.items or min(self.items, self.dim) < 256:
            raise UsageError(
                f"bench.items is {self.items} and bench.dim is {self.dim}; codes of 256 bits need 256 of both, and "
                f"bench.k, {self.k}, must not exceed the items"
            )
        self._source.check()
        size = max(size for _, size in self.predicted().values())
        advice = "take fewer bench.items or fewer bench.rivals"
        require_memory(int(size), f"{len(self.rivals)} indexes together", advice)

    def run(self, report: Report) -> Outcome:
        """Makes the data, builds every index, measures all settings in turn.

        Args:
            report: Called with the name of each step as it begins.

        Returns:
            One row per setting and ``query_modality``, with ``is_dominated``, ``cpu_us`` and ``wall_us`` per query.

        Raises:
            UsageError: As ``check``.
        """
        self.check()
        report("vectors and the exact answers")
        vectors = self._source.make()
        items, exact = vectors.items, {}
        for modality, queries in vectors.queries.items():
            blocks = (items[at : at + _BLOCK] for at in range(0, self.items, _BLOCK))
            exact[modality] = exact_by_stream(blocks, queries, self.k).indices
        context = BuildContext(self.items, self.dim, self.threads, SharedBinarisers(items))
        reasons = {name: absent(name) or _unfit(name, items) for name in self.rivals}
        built = [self._built(name, context, items, report) for name in self.rivals if not reasons.get(name)]
        trials = [
            Trial(rival, params, modality)
            for modality in vectors.queries
            for rival in built
            for params in RIVALS[rival.name].search_params
        ]
        report(f"{len(trials)} settings in {self.rounds} rounds")
        self._measure(trials, vectors.queries)
        rows = [self._row(trial, exact[trial.modality]) for trial in trials]
        for modality in vectors.queries:
            mark_dominated([row for row in rows if row["query_modality"] == modality], self.k)
        return self._outcome(rows, {name: reason for name, reason in reasons.items() if reason}, vectors.notes)

    def _built(self, name: str, context: BuildContext, items: np.ndarray, report: Report) -> Built:
        report(f"building {name}")
        context.binariser.fit_times.clear()
        searcher = RIVALS[name].make(context)
        _, adding = once(lambda: searcher.add(items))
        steps = [adding, *context.binariser.fit_times]
        seconds, cpu_seconds = sum(step.seconds for step in steps), sum(step.cpu_seconds for step in steps)
        return Built(name, searcher, Timing(seconds, cpu_seconds, 0.0, 1))

    def _measure(self, trials: Sequence[Trial], queries: Mapping[Modality, np.ndarray]) -> None:
        parts = {modality: np.array_split(rows, 1 + self.rounds) for modality, rows in queries.items()}
        turns = 1 + self.rounds
        steps = [(trial, number + turn) for turn in range(turns) for number, trial in enumerate(trials)]
        for trial, part in track(steps, len(steps), "settings"):
            trial.measure(parts[trial.modality], part % turns, self.k)

    def _row(self, trial: Trial, exact: np.ndarray) -> dict[str, Any]:
        ks = sorted({1, self.k})
        top1, overlap = recalls_by_item(trial.ranking, exact, ks)
        build, wall_us, cpu_us = trial.built.build, *trial.medians
        return {
            "index": trial.built.name,
            "setting": params_text(trial.params),
            "settings": trial.name,
            "query_modality": trial.modality,
            "queries": self.queries,
            "items": self.items,
            "k": self.k,
            "build_seconds": build.seconds,
            "build_cpu_seconds": build.cpu_seconds,
            "search_seconds": wall_us * self.queries / 1e6,
            "search_cpu_seconds": cpu_us * self.queries / 1e6,
            "wall_us": wall_us,
            # a device computes outside this process: its wall clock stands for its cost
            "cpu_us": wall_us if trial.built.name in GPU_RIVALS else cpu_us,
            "repeats": self.rounds,
            "threads": self.threads,
            "index_bytes": trial.built.searcher.size_bytes,  # now that searches have put it in order
            "recall_queries": self.queries,
            "top1_in_k": top1,
            "overlap_at_k": overlap,
        } | conditions()

    def _outcome(self, rows: list[dict[str, Any]], reasons: dict[str, str], about: tuple[str, ...]) -> Outcome:
        speed_ups, figures = [], {}
        for modality in dict.fromkeys(row["query_modality"] for row in rows):
            of_modality = [row for row in rows if row["query_modality"] == modality]
            speed_ups += [speed_up_table(of_modality, self.baseline, kind, k) for kind, k in _measures(self.k)]
            figures["pareto" if modality == "same" else f"pareto-{modality}-modality"] = draw(of_modality, self.k)
        notes = [*about, *(f"{name} is absent: {reason}." for name, reason in reasons.items())]
        details = asdict(self) | {"absent": reasons}
        return Outcome(rows, (settings_table(rows, self.k), *speed_ups), figures, details, tuple(notes))


def _unfit(name: str, items: np.ndarray) -> str | None:
    """Why a rival cannot search these items; None where it can."""
    if RIVALS[name].needs_unit_rows and not np.allclose(np.linalg.norm(items[:_BLOCK], axis=1), 1, atol=1e-3):
        return "it knows Euclidean distance alone, and the items are not of length 1"
    return None


def _measures(k: int) -> list[tuple[str, int]]:
    return [("top1_in_k", 1), ("overlap_at_k", k)]
