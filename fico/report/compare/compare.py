"""Settings side by side: differences, what is best, and whether the choice of queries explains it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fico.errors import UsageError
from fico.metrics.significance import PairedTest
from fico.report.compare.paired import QueryValues, check_same_data, holm
from fico.report.results.runs import Run, machine
from fico.report.results.schema import is_rank
from fico.report.results.seeds import Protocol, Score, Setting, is_untrained, settings
from fico.report.table.run_tables import (
    DIRECTIONS,
    SHOWN,
    bytes_text,
    metric_names,
    seconds_text,
    shown,
)
from fico.report.table.table import (
    NOTHING,
    Cell,
    Column,
    Grid,
    Row,
    joined,
    score_cell,
)
from fico.util.progress import track

COSTS = {
    "embedding_bytes": "embeddings",
    "encode_seconds": "encode",
    "attention_seconds": "attention at query time",
}


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One column: the seeds of a setting, or a single run."""

    label: str
    runs: tuple[Run, ...]

    @property
    def setting(self) -> Setting:
        """Its averages."""
        return Setting(tuple(run.results for run in self.runs))


def compare(runs: Sequence[Run], *, every: bool = False) -> Grid:
    """Rows are metrics; the first column is what the others are compared with.

    Args:
        runs: At least two; those that differ by their seed alone are averaged, unless nothing else were left.
        every: All metrics, not only those that a run prints.

    Returns:
        Values with interval or spread, differences in points, and p-values of paired tests, corrected after Holm.

    Raises:
        UsageError: Fewer than two runs, a run without metrics, or runs on other data, splits, contents or definitions.
    """
    if len(runs) < 2:
        raise UsageError(f"{len(runs)} run was given; fico compare needs at least two")
    for run in runs:
        if not run.results.metrics:
            raise UsageError(f"{run.folder} has no metrics of a model, as after a bench; fico report shows benches")
    check_same_data(runs)
    sides = _sides(runs)
    names = _names(runs, every)
    tests = _tests(sides, names)
    columns = [Column("metric", is_text=True), Column("chance"), Column("value", sides[0].label)]
    for side in sides[1:]:
        columns += [Column("value", side.label), Column("difference", side.label), Column("p", side.label)]
    rows = [_metric_row(name, sides, tests) for name in names]
    rows += [row for name in COSTS if (row := _cost_row(name, sides)) is not None]
    protocol = Protocol.of(runs[0].results)
    return Grid("compare", f"Compared on {protocol.words}", tuple(columns), tuple(rows), _notes(sides, tests))


Tests = dict[tuple[str, int], tuple[PairedTest, float]]  # by metric and column: the test, and p after Holm


def _sides(runs: Sequence[Run]) -> list[Side]:
    """Settings in the order in which their first run was given."""
    of = {id(run.results): run for run in runs}
    sides = []
    for setting in settings([run.results for run in runs]):
        members = tuple(of[id(results)] for results in setting.runs)
        if len(set(setting.seeds)) == len(members):
            sides.append(Side(setting.label, members))
        else:  # the same seed again, such as before and after a change of the code
            sides += [Side(f"{setting.label} [{run.folder.name}]", (run,)) for run in members]
    if len(sides) == 1:
        sides = [Side(f"{sides[0].label}, seed {run.results.seed}", (run,)) for run in sides[0].runs]
    order = list(runs)
    return sorted(sides, key=lambda side: min(order.index(run) for run in side.runs))


def _names(runs: Sequence[Run], every: bool) -> list[str]:
    names: dict[str, None] = {}
    for task, usual in SHOWN.items():
        there = {name: None for run in runs for name in metric_names(run.results, task)}
        for way in DIRECTIONS:
            for name in there if every else usual:
                if any(run.results.metric(f"{task}/{way}/{name}") for run in runs):
                    names[f"{task}/{way}/{name}"] = None
    return list(names)


def _tests(sides: Sequence[Side], names: Sequence[str]) -> Tests:
    values = QueryValues([run for side in sides for run in side.runs])
    wanted = [(name, place) for place in range(1, len(sides)) for name in names]
    tested = [
        (key, values.test(sides[0].runs, sides[key[1]].runs, key[0]))
        for key in track(wanted, len(wanted), "Testing differences")
    ]
    known = [(key, test) for key, test in tested if test is not None]
    corrected = holm([test.p for _, test in known])
    return {key: (test, p) for (key, test), p in zip(known, corrected, strict=True)}


def _metric_row(name: str, sides: Sequence[Side], tests: Tests) -> Row:
    scores = [side.setting.score(name) for side in sides]
    best = _best([None if s is None else s.value if is_rank(name) else -s.value for s in scores])
    task, way, metric = name.split("/")
    chance = sides[0].setting.score(f"{task}/{way}/chance/{metric}")
    cells = [Cell(name), Cell(NOTHING) if chance is None else Cell(shown(name, chance.value))]
    for place, (side, score) in enumerate(zip(sides, scores, strict=True)):
        cell = score_cell(name, score, len(side.runs))
        cells.append(Cell(cell.text, cell.note, cell.numbers, place in best))
        if place:
            cells += [_difference(name, scores[0], score), _p(tests.get((name, place)))]
    return Row(tuple(cells))


def _best(costs: Sequence[float | None]) -> set[int]:
    """Columns of the least cost; none where all are alike."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < 2 or max(known) - min(known) < 1e-12:
        return set()
    return {place for place, cost in enumerate(costs) if cost is not None and cost - min(known) < 1e-12}


def _difference(name: str, first: Score | None, second: Score | None) -> Cell:
    if first is None or second is None:
        return Cell(NOTHING)
    factor = 1 if is_rank(name) else 100
    gap = factor * (second.value - first.value)
    return Cell(f"{gap:+.2f}".replace("-", "−"), numbers={"": gap})


def _p(outcome: tuple[PairedTest, float] | None) -> Cell:
    if outcome is None:
        return Cell(NOTHING)
    test, p = outcome
    return Cell("< 0.001" if p < 0.001 else f"{p:.3f}", numbers={"": p, "uncorrected": test.p})


def _cost_row(name: str, sides: Sequence[Side]) -> Row | None:
    scores = [side.setting.cost(name) for side in sides]
    if not any(score is not None and score.value for score in scores):
        return None
    is_time = name.endswith("_seconds")
    is_fair = not is_time or len({machine(run.results) for side in sides for run in side.runs}) == 1
    best = _best([None if score is None else score.value for score in scores]) if is_fair else set()
    cells = [Cell(COSTS[name]), Cell(NOTHING)]
    for place, score in enumerate(scores):
        if score is None:
            cells.append(Cell(NOTHING))
        else:
            text = seconds_text(score.value) if is_time else bytes_text(score.value)
            spread = f"± {seconds_text(score.spread)}" if is_time and score.spread else ""
            cells.append(Cell(text, spread, {"": score.value}, place in best))
        if place:
            cells += [_ratio(scores[0], score), Cell(NOTHING)]
    return Row(tuple(cells))


def _ratio(first: Score | None, second: Score | None) -> Cell:
    if first is None or second is None or not first.value:
        return Cell(NOTHING)
    ratio = second.value / first.value
    return Cell(f"× {ratio:.3g}", numbers={"": ratio})


def _notes(sides: Sequence[Side], tests: Tests) -> tuple[str, ...]:
    runs = [run for side in sides for run in side.runs]
    several = any(len(side.runs) > 1 for side in sides)
    commits = sorted({run.results.commit[:8] for run in runs})
    machines = sorted({machine(run.results) for run in runs})
    untrained = [side.label for side in sides if is_untrained(side.setting.first)]
    images = sides[0].setting.first.data.images
    tested = (
        f"p: two-sided paired test, sign flips of whole images ({images:,} of them), 10,000 resamples, corrected after "
        f"Holm for {len(tests)} tests; {NOTHING} where the metric is no mean over queries or its values are not stored."
    )
    return joined([
        f"Metrics in percent, MedR in items. Differences are to {sides[0].label}, in points; the best is bold.",
        "Behind the value of one run: its 95 % interval (bootstrap over queries, captions of one image together).",
        "±: standard deviation over seeds. p tests the mean over the seeds: whether another choice of queries could "
        "have made the difference, not whether other seeds could." if several else "",
        tested if tests else f"p is not known ({NOTHING}): values of single queries are not stored with their images.",
        f"Times are of different machines and not ranked: {'; '.join(machines)}." if len(machines) > 1 else "",
        f"The runs were made with different code: {', '.join(commits)}." if len(commits) > 1 else "",
        f"Untrained weights: {', '.join(untrained)}." if untrained else "",
        *(f"{side.label}: {', '.join(str(run.folder) for run in side.runs)}" for side in sides),
    ])  # fmt: skip
