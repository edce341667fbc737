"""Runs side by side: differences, the best of each row, and paired significance tests."""

from collections.abc import Sequence
from dataclasses import dataclass

from fico.errors import UsageError
from fico.metrics.significance import PairedTest
from fico.report.compare.paired import QueryValues, check_same_data, holm
from fico.report.results.display import DIRECTION_NAMES, both_names, metric_names, metric_text, shown_names, shown_tasks
from fico.report.results.metric import factor
from fico.report.results.protocol import Protocol
from fico.report.results.runs import FinishedRun, machine
from fico.report.results.score_cell import score_cell
from fico.report.results.seeds import Score, SeedGroup, group_seeds, is_untrained
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct
from fico.util.progress import track
from fico.util.units import bytes_text, seconds_text

COSTS = {
    "embedding_bytes": "embeddings",
    "encode_seconds": "encode",
    "attention_seconds": "attention at query time",
}


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """What one column is about: runs that differ by their seed alone, or a single run."""

    label: str
    runs: tuple[FinishedRun, ...]

    @property
    def group(self) -> SeedGroup:
        """For averages over the seeds."""
        return SeedGroup(tuple(run.results for run in self.runs))


def compare(runs: Sequence[FinishedRun], *, every: bool = False) -> Table:
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
    contenders = contenders_of(runs)
    names = _names(runs, every)
    values = QueryValues(runs)
    tests = _tests(values, contenders, names)
    spans = {key: values.interval(contenders[0].runs, contenders[key[1]].runs, key[0]) for key in tests}
    columns = [Column("metric", is_text=True), Column("chance"), Column("value", contenders[0].label)]
    for contender in contenders[1:]:
        columns += [Column(name, contender.label) for name in ("value", "difference", "p")]
    rows = [_metric_row(name, contenders, tests, spans) for name in names]
    rows += [row for name in COSTS if (row := _cost_row(name, contenders)) is not None]
    title = f"Compared on {Protocol.of(runs[0].results).description}"
    return Table("compare", title, tuple(columns), tuple(rows), _notes(contenders, tests))


Tests = dict[tuple[str, int], tuple[PairedTest, float]]  # by metric and column of the other: the test, and p after Holm


Spans = dict[tuple[str, int], tuple[float, float] | None]  # the interval of a difference, likewise


def contenders_of(runs: Sequence[FinishedRun]) -> list[Contender]:
    """Groups of seeds in the order in which their first run was given."""
    of = {id(run.results): run for run in runs}
    contenders = []
    for group in group_seeds([run.results for run in runs]):
        members = tuple(of[id(results)] for results in group.runs)
        if len(set(group.seeds)) == len(members):
            contenders.append(Contender(group.label, members))
        else:  # the same seed again, such as before and after a change of the code
            contenders += [Contender(f"{group.label} [{run.folder.name}]", (run,)) for run in members]
    if len(contenders) == 1:
        (only,) = contenders
        contenders = [Contender(f"{only.label}, seed {run.results.seed}", (run,)) for run in only.runs]
    order = list(runs)
    return sorted(contenders, key=lambda contender: min(order.index(run) for run in contender.runs))


def _names(runs: Sequence[FinishedRun], every: bool) -> list[str]:
    names: dict[str, None] = {}
    listed = metric_names if every else shown_names
    for task in shown_tasks(*(run.results for run in runs)):
        there = {name: None for run in runs for name in listed(run.results, task)}
        for direction in DIRECTION_NAMES:
            for name in there:
                if any(run.results.metric(f"{task}/{direction}/{name}") for run in runs):
                    names[f"{task}/{direction}/{name}"] = None
    return list(names | {name: None for run in runs for name in both_names(run.results)})


def _tests(values: QueryValues, contenders: Sequence[Contender], names: Sequence[str]) -> Tests:
    wanted = [(name, column) for column in range(1, len(contenders)) for name in names if name.count("/") == 2]
    tested = [
        (key, values.test(contenders[0].runs, contenders[key[1]].runs, key[0]))
        for key in track(wanted, len(wanted), "Testing differences")
    ]
    known = [(key, test) for key, test in tested if test is not None]
    corrected = holm([test.p for _, test in known])
    return {key: (test, p) for (key, test), p in zip(known, corrected, strict=True)}


def _metric_row(name: str, contenders: Sequence[Contender], tests: Tests, spans: Spans) -> Row:
    scores = [contender.group.score(name) for contender in contenders]
    best = _best([None if s is None else -s.value if s.higher_is_better else s.value for s in scores])
    where, _, metric = name.rpartition("/")
    chance = contenders[0].group.score(f"{where}/chance/{metric}")
    cells = [Cell(name), Cell(NOTHING) if chance is None else Cell(metric_text(chance.unit, chance.value))]
    for column, (contender, score) in enumerate(zip(contenders, scores, strict=True)):
        cell = score_cell(score, len(contender.runs))
        cells.append(Cell(cell.text, cell.note, cell.numbers, column in best))
        if column:
            span = spans.get((name, column))
            cells += [_difference(scores[0], score, span), p_cell(tests.get((name, column)))]
    return Row(tuple(cells))


def _best(costs: Sequence[float | None]) -> set[int]:
    """Columns of the least cost; none where all are alike."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < 2 or max(known) - min(known) < 1e-12:
        return set()
    return {column for column, cost in enumerate(costs) if cost is not None and cost - min(known) < 1e-12}


def _difference(first: Score | None, second: Score | None, span: tuple[float, float] | None) -> Cell:
    if first is None or second is None:
        return Cell(NOTHING)
    scale = factor(second.unit)
    gap, ends = scale * (second.value - first.value), [scale * end for end in span or ()]
    note = " to ".join(f"{end:+.1f}" for end in ends).replace("-", "−")
    return Cell(f"{gap:+.2f}".replace("-", "−"), note, {"": gap, **dict(zip(("low", "high"), ends, strict=False))})


def p_cell(outcome: tuple[PairedTest, float] | None) -> Cell:
    """A p-value after Holm's correction, to three digits."""
    if outcome is None:
        return Cell(NOTHING)
    test, p = outcome
    return Cell("< 0.001" if p < 0.001 else f"{p:.3f}", numbers={"": p, "uncorrected": test.p})


def _cost_row(name: str, contenders: Sequence[Contender]) -> Row | None:
    scores = [contender.group.cost(name) for contender in contenders]
    if not any(score is not None and score.value for score in scores):
        return None
    is_time = name.endswith("_seconds")
    is_fair = not is_time or len({machine(run.results) for contender in contenders for run in contender.runs}) == 1
    best = _best([None if score is None else score.value for score in scores]) if is_fair else set()
    cells = [Cell(COSTS[name]), Cell(NOTHING)]
    for column, score in enumerate(scores):
        if score is None:
            cells.append(Cell(NOTHING))
        else:
            text = seconds_text(score.value) if is_time else bytes_text(score.value)
            spread = f"± {seconds_text(score.spread)}" if is_time and score.spread else ""
            cells.append(Cell(text, spread, {"": score.value}, column in best))
        if column:
            cells += [_ratio(scores[0], score), Cell(NOTHING)]
    return Row(tuple(cells))


def _ratio(first: Score | None, second: Score | None) -> Cell:
    if first is None or second is None or not first.value:
        return Cell(NOTHING)
    ratio = second.value / first.value
    return Cell(f"× {ratio:.3g}", numbers={"": ratio})


def _notes(contenders: Sequence[Contender], tests: Tests) -> tuple[str, ...]:
    runs = [run for contender in contenders for run in contender.runs]
    several = any(len(contender.runs) > 1 for contender in contenders)
    commits = sorted({run.results.commit[:8] for run in runs})
    machines = sorted({machine(run.results) for run in runs})
    untrained = [contender.label for contender in contenders if is_untrained(contender.group.first)]
    images = contenders[0].group.first.data.images
    tested = (
        f"p: two-sided paired test, sign flips of whole images ({images:,} of them), 10,000 resamples, corrected after "
        f"Holm for {len(tests)} tests; {NOTHING} where the metric is not a mean over queries or values are not stored."
    )
    return distinct([
        f"Metrics in percent, MedR in items. Differences are to {contenders[0].label}, in points.",
        "After the value of one run: its 95 % interval (bootstrap over queries, captions of one image together); after "
        "a difference that of the paired differences.",
        "±: standard deviation over seeds. p tests the mean over the seeds: whether another sample of queries could "
        "explain the difference, not whether other seeds could." if several else "",
        tested if tests else f"p is not known ({NOTHING}): values of single queries are not stored with their images.",
        f"Times are of different machines and not ranked: {'; '.join(machines)}." if len(machines) > 1 else "",
        f"The runs were made with different code: {', '.join(commits)}." if len(commits) > 1 else "",
        f"Untrained weights: {', '.join(untrained)}." if untrained else "",
        *(f"{contender.label}: {', '.join(str(run.folder) for run in contender.runs)}" for contender in contenders),
    ])  # fmt: skip
