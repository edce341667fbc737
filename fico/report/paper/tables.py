"""Tables 1 to 4 of the paper, as far as some runs can fill them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fico.report.paper.numbers import (
    ARCHITECTURE,
    CATEGORY,
    DEEP,
    DEEP_RECALL,
    INSTANCE,
    MAP,
    Numbers,
    R,
    paper_data,
    paper_model,
    published,
)
from fico.report.results.schema import Results
from fico.report.results.seeds import MODELS, Protocol, Setting, is_untrained, settings
from fico.report.table.run_tables import DIRECTIONS
from fico.report.table.table import (
    NOTHING,
    Cell,
    Column,
    Grid,
    Row,
    joined,
    score_cell,
    words,
)

LEADING = (Column("model", is_text=True), Column("bits"), Column("size", is_text=True), Column("seeds"))
READING = (
    "In percent. Behind the value of one run: its 95 % interval (bootstrap over queries, captions of one image "
    "together). Several seeds: mean ± standard deviation over the seeds, which leaves the choice of queries out."
)
HASHING = ("adv", "ucch", "dadh")  # of the paper's models


@dataclass(frozen=True, slots=True)
class Definition:
    """What a table of metrics holds; ``takes`` says which runs belong in it."""

    number: int
    title: str
    task: str
    names: tuple[str, ...]
    paper: Numbers
    takes: Callable[[Results], bool] = lambda _: True


def is_hashing(results: Results) -> bool:
    """Whether the model gives binary codes; of given scores only its name tells."""
    return results.model.bits is not None or results.model.name in HASHING


TABLES = (
    Definition(2, "instance level", "instance", R, INSTANCE),
    Definition(3, "extended recall of hash codes", "instance", DEEP, DEEP_RECALL, is_hashing),
    Definition(4, "category level", "category", MAP, CATEGORY),
)


def architecture(runs: Sequence[Results]) -> Grid:
    """Table 1: what each model makes of an image and a caption."""
    columns = (
        Column("model", is_text=True),
        Column("size", is_text=True),
        Column("family", is_text=True),
        Column("embedding", is_text=True),
        Column("attention at query time", is_text=True),
        *(Column(name, "paper", is_text=True) for name in ("embedding", "image feature", "text feature")),
    )
    rows = [Row(words(*texts)) for texts in dict.fromkeys(_architecture(setting.first) for setting in settings(runs))]
    note = "The paper's Table 1 is known here for BLIP-2, X-VLM and BEiT-3 only; – is not known."
    return Grid("table1", "Table 1: architecture", columns, tuple(rows), (note,))


def metric_table(definition: Definition, protocol: Protocol, runs: Sequence[Results], key: str) -> Grid | None:
    """Table 2, 3 or 4 on one data set; None where no run has any of its metrics.

    Args:
        definition: Which table.
        protocol: What the runs share.
        runs: Finished runs of that protocol.
        key: Name of the data set in file names.
    """
    keys = [(way, name) for way in DIRECTIONS for name in definition.names]
    metrics = [f"{definition.task}/{way}/{name}" for way, name in keys]
    trained = [run for run in runs if definition.takes(run) and not is_untrained(run)]
    found = settings([run for run in trained if any(map(run.metric, metrics))])
    if not found:
        return None
    rows: list[Row] = []
    for setting in found:
        rows += _rows(definition, setting, keys)
    rows += _chance_rows(definition, found, keys)
    columns = (*LEADING, *(Column(name, DIRECTIONS[way]) for way, name in keys))
    title = f"Table {definition.number}: {definition.title}, {protocol.words}"
    meaning, absent = _meaning(definition, found), _absent(definition, found, keys, runs)
    notes = joined([READING, *meaning, *absent, *_paper(rows)])
    return Grid(f"table{definition.number}-{key}", title, columns, tuple(rows), notes)


def _architecture(results: Results) -> tuple[str, ...]:
    model = results.model
    families = {"vlp": "vision-language pre-trained", "fine": "fine-grained", "coarse": "coarse-grained", None: NOTHING}
    kind = f"{model.bits} bits" if model.bits else f"{model.dim} x {model.dtype}" if model.dim else "scores only"
    known = ARCHITECTURE.get(paper_model(results) or "", (NOTHING,) * 3)
    attention = "yes" if model.query_time_attention else "no"
    return model.name, model.size or NOTHING, families[model.family], kind, attention, *known


def _rows(definition: Definition, setting: Setting, keys: Sequence[tuple[str, str]]) -> list[Row]:
    first, count = setting.first, len(setting.runs)
    scores = [setting.score(f"{definition.task}/{way}/{name}") for way, name in keys]
    facts = str(first.model.bits or NOTHING), first.model.size or NOTHING, ", ".join(map(str, setting.seeds))
    cells = [score_cell(name, score, count) for (_, name), score in zip(keys, scores, strict=True)]
    rows = [Row((*words(setting.name, *facts), *cells))]
    model, data = paper_model(first), paper_data(first)
    known = [
        None if model is None or data is None else published(definition.paper, data, model, way, place)
        for way in DIRECTIONS
        for place in range(len(definition.names))
    ]
    if any(number is not None for number in known):
        gaps = [None if n is None or s is None else 100 * s.value - n for s, n in zip(scores, known, strict=True)]
        rows.append(Row((*words("paper", "", "", ""), *(_number(n, "{:.1f}") for n in known)), "paper"))
        rows.append(Row((*words("difference", "", "", ""), *(_number(g, "{:+.2f}") for g in gaps)), "difference"))
    return rows


def _number(number: float | None, form: str) -> Cell:
    return Cell(NOTHING) if number is None else Cell(form.format(number).replace("-", "−"), numbers={"": number})


def _chance_rows(definition: Definition, found: Sequence[Setting], keys: Sequence[tuple[str, str]]) -> list[Row]:
    """One row where all runs agree, as on one data set they should; else one for each level."""
    levels: dict[tuple[str, ...], Row] = {}
    for setting in found:
        scores = [setting.score(f"{definition.task}/{way}/chance/{name}") for way, name in keys]
        cells = tuple(_number(None if s is None else 100 * s.value, "{:.2f}") for s in scores)
        texts = tuple(cell.text for cell in cells)
        if any(text != NOTHING for text in texts):
            levels.setdefault(texts, Row((*words("chance", "", "", ""), *cells), "chance"))
    return list(levels.values())


def _meaning(definition: Definition, found: Sequence[Setting]) -> list[str]:
    """What each metric is, without the number of queries, which differs between the directions."""
    notes = []
    for name in definition.names:
        meanings = {
            metric.definition.rpartition("; ")[0] or metric.definition
            for setting in found
            for run in setting.runs
            for way in DIRECTIONS
            if (metric := run.metric(f"{definition.task}/{way}/{name}")) is not None
        }
        if meanings:
            notes.append(f"{name}: {' / '.join(sorted(meanings))}.")
    return notes


def _absent(
    definition: Definition, found: Sequence[Setting], keys: Sequence[tuple[str, str]], runs: Sequence[Results]
) -> list[str]:
    notes = []
    for setting in found:
        gone = [f"{way} {name}" for way, name in keys if not setting.score(f"{definition.task}/{way}/{name}")]
        if gone:
            notes.append(f"{setting.label} was not measured, or cannot be, for {', '.join(gone)} (–).")
    there = {setting.first.model.name.replace("(nf)", "_nf").split("(")[0] for setting in found}
    wanted = HASHING if definition.takes is is_hashing else MODELS
    if missing := [name for name in wanted if name not in there]:
        notes.append(f"No finished run here of {', '.join(missing)}.")
    if untrained := sorted({run.model.name for run in runs if definition.takes(run) and is_untrained(run)}):
        notes.append(f"Runs with untrained weights are left out: {', '.join(untrained)}.")
    commits = {setting.label: sorted({run.commit[:8] for run in setting.runs}) for setting in found}
    notes += [f"The seeds of {label} ran with different code: {', '.join(c)}." for label, c in commits.items() if c[1:]]
    return notes


def _paper(rows: Sequence[Row]) -> list[str]:
    if any(row.kind == "paper" for row in rows):
        return ["paper: FiCo-ITR, arXiv 2407.20114; difference: ours minus the paper's, in points; – is not known."]
    return ["No row has the paper's data set, split, model size and code length, so none has a number of the paper."]
