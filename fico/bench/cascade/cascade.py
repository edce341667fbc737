"""Quality and cost of a cascade at each depth, beside both models alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fico.bench.cascade.ranker import Ranker, open_ranker
from fico.bench.cascade.request import Depth, Request, Stage
from fico.bench.cascade.screen import Screen, check_same_rows, pair_keys
from fico.bench.timing import timed
from fico.embeddings.store import EmbeddingStore
from fico.evaluation.evaluate import evaluate_scores
from fico.evaluation.result import RetrievalResult
from fico.external.run_options import run_options
from fico.metrics.specification import DIRECTIONS, Direction
from fico.report.results.collect import collect_metrics
from fico.report.results.metric import Metric
from fico.scoring.candidates import scattered

KEPT = ("R@1", "R@5", "R@10")  # of which the part is given that a cascade keeps
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a query of one direction costs; seconds are CPU seconds, means over the queries of a batch.

    Args:
        pairs: Pairs that the ranker scores.
        pairs_fraction: Of all items.
        encode_seconds: By the networks of the stages, as their runs timed it: the mean of an image and a caption;
            wall-clock seconds where a run was on a GPU.
        screen_seconds: Search of the candidates.
        rank_seconds: Scores of the pairs.
        held_bytes: Of an item, in the index and for the ranker.
        touched_bytes: Read for the query: the whole index, and the rows of the candidates; None for a graph.
    """

    pairs: int
    pairs_fraction: float
    encode_seconds: float
    screen_seconds: float
    rank_seconds: float
    held_bytes: float
    touched_bytes: float | None

    @property
    def query_seconds(self) -> float:
        """All three steps."""
        return self.encode_seconds + self.screen_seconds + self.rank_seconds


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One row: a stage alone or the cascade at one depth.

    Args:
        name: Of the models.
        depth: None of a stage alone.
        metrics: As in `results.json`.
        costs: By direction.
        kept: By direction the part of the ranker's R@1, R@5 and R@10; empty of a stage alone.
        found: By direction the fraction of queries with their matching item among the candidates, which no ranker can
            exceed; empty of a stage alone.
        result: The evaluation of a cascade; None of a stage alone.
    """

    name: str
    depth: Depth | None
    metrics: Mapping[str, Metric]
    costs: Mapping[Direction, Cost]
    kept: Mapping[Direction, Mapping[str, float]]
    found: Mapping[Direction, float]
    result: RetrievalResult | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was measured.

    Args:
        systems: The screen alone, the cascades by depth, the ranker alone.
        store: Embeddings of the ranking run, for ids and positives.
        options: Of the evaluation.
        notes: What a reader of the numbers must know.
    """

    systems: tuple[System, ...]
    store: EmbeddingStore
    options: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def cascades(self) -> tuple[System, ...]:
        """Without the stages alone."""
        return tuple(system for system in self.systems if system.depth is not None)


def measure(request: Request, *, device: str = "cpu", report: Report = lambda _: None) -> Outcome:
    """Screens, ranks and evaluates both directions at each depth.

    Args:
        request: Checked.
        device: Where the ranker's network computes.
        report: Called with each step as it begins.

    Raises:
        DataError: Files of a run are damaged, or hold other rows.
    """
    stores = [EmbeddingStore.load(stage.folder / "embeddings") for stage in (request.screen, request.rank)]
    check_same_rows(*stores)
    return _Measurement(request, stores[0], stores[1], device, report).outcome()


class _Measurement:
    def __init__(
        self, request: Request, screen: EmbeddingStore, rank: EmbeddingStore, device: str, report: Report
    ) -> None:
        self._request, self._store, self._report = request, rank, report
        self._options = run_options(request.rank.results, rank)
        self._split = request.rank.results.data.split
        report(f"screen: {request.screen_label}")
        self._screen = Screen(request, screen)
        report(f"ranker: {request.rank.label}")
        self._ranker: Ranker = open_ranker(request.rank, rank, device)
        self._ranker.score(np.arange(min(64, len(rank.caption_ids))))  # loads libraries, so that no depth pays for it

    def outcome(self) -> Outcome:
        cascades = tuple(map(self._at, self._request.depths))
        return Outcome(
            (self._screen_alone(), *cascades, self._ranker_alone()), self._store, self._options, self._notes()
        )

    @property
    def _encode_seconds(self) -> tuple[float, float]:
        """Of a query by the screen's network and by the ranker's."""
        return _encode_seconds(self._request.screen), _encode_seconds(self._request.rank)

    def _items(self, direction: Direction) -> int:
        return len(self._store.caption_ids if direction == "i2t" else self._store.image_ids)

    def _at(self, depth: Depth) -> System:
        self._report(f"k = {depth}")
        costs: dict[Direction, Cost] = {}
        scores: dict[Direction, np.ndarray] = {}
        found: dict[Direction, float] = {}
        for direction in DIRECTIONS:
            items = self._items(direction)
            k = depth.of(items)
            first, search = self._screen.search(direction, k)
            found[direction] = self._found(direction, first.indices)
            keys = pair_keys(direction, first.indices, len(self._store.caption_ids))
            order = np.argsort(keys, axis=None)
            pairs = keys.ravel()[order]
            values, ranking = timed(lambda pairs=pairs: self._ranker.score(pairs), warm_up=False)  # type: ignore[misc]
            ranked = np.empty(keys.size, np.float32)
            ranked[order] = values
            scores[direction] = scattered(first, ranked.reshape(keys.shape), items)
            queries = len(keys)
            costs[direction] = self._cost(direction, k, search.cpu_seconds / queries, ranking.cpu_seconds / queries)
        result = evaluate_scores(
            i2t=scores["i2t"], t2i=scores["t2i"], correspondence=self._store.correspondence, **self._options
        )
        metrics = collect_metrics(result, self._split)
        name = f"{self._request.screen_label} > {self._request.rank.label}"
        kept = {way: self._kept(metrics, way) for way in DIRECTIONS}
        return System(name, depth, metrics, costs, kept, found, result)

    def _found(self, direction: Direction, items: np.ndarray) -> float:
        """Fraction of the queries whose matching item is among the ``queries k`` candidates."""
        owners = self._store.correspondence.caption_to_image
        if direction == "t2i":
            return float((items == owners[:, None]).any(axis=1).mean())
        images = np.unique(owners)  # those with captions
        return float((owners[items[images]] == images[:, None]).any(axis=1).mean())

    def _cost(self, direction: Direction, k: int, screen_seconds: float, rank_seconds: float) -> Cost:
        items, item = self._items(direction), "text" if direction == "i2t" else "image"
        row, held = self._ranker.row_bytes, self._screen.held_bytes(direction)
        return Cost(
            k,
            k / items,
            sum(self._encode_seconds),
            screen_seconds,
            rank_seconds,
            held + row[item],
            None if self._request.index == "hnsw" else items * held + k * row[item],
        )

    def _kept(self, metrics: Mapping[str, Metric], direction: Direction) -> dict[str, float]:
        """What is left of the ranker's R@K; without those that do not apply."""
        whole = self._request.rank.results.metrics
        keys = {name: f"{self._split}/instance/{direction}/{name}" for name in KEPT}
        return {
            name: metrics[key].value / whole[key].value
            for name, key in keys.items()
            if key in metrics and key in whole and whole[key].value > 0
        }

    def _screen_alone(self) -> System:
        self._report("both models alone")
        costs: dict[Direction, Cost] = {}
        for way in DIRECTIONS:
            items, held = self._items(way), self._screen.held_bytes(way)
            _, search = self._screen.search(way, min(10, items))
            seconds = search.cpu_seconds / len(self._store.image_ids if way == "i2t" else self._store.caption_ids)
            touched = None if self._request.index == "hnsw" else items * held
            costs[way] = Cost(0, 0.0, self._encode_seconds[0], seconds, 0.0, held, touched)
        metrics = collect_metrics(self._screen.alone(self._store, dict(self._options)), self._split)
        return System(self._request.screen_label, None, metrics, costs, {}, {})

    def _ranker_alone(self) -> System:
        costs: dict[Direction, Cost] = {}
        for way in DIRECTIONS:
            items, pairs = self._items(way), self._ranker.depth_alone(way)
            row = self._ranker.row_bytes["text" if way == "i2t" else "image"]
            seconds = self._ranker.seconds_alone(way)
            costs[way] = Cost(pairs, pairs / items, self._encode_seconds[1], 0.0, seconds, row, pairs * row)
        return System(self._request.rank.label, None, self._request.rank.results.metrics, costs, {}, {})

    def _notes(self) -> tuple[str, ...]:
        request = self._request
        fitted = f"ITQ of {request.bits} bits was fitted on the tested images and captions, on no pairs of them"
        return (
            f"screen: {request.screen_label} of {request.screen.folder}",
            f"ranker: {request.rank.label} of {request.rank.folder}",
            *([fitted] if request.bits else []),
        )


def _encode_seconds(stage: Stage) -> float:
    measured, data = stage.results.efficiency, stage.results.data
    seconds = measured.get("encode_cpu_seconds") or measured.get("encode_seconds") or 0.0
    return float(seconds) / (data.images + data.captions)
