"""``fico growth``: R@K and cost of a finished run while the embeddings of other runs join its gallery."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fico.bench.growth.growth import RECALL_AT, GrowthRow, growth
from fico.datasets.subset import whole_name
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.report.figures.column import TYPE, EndLabel, add_end_labels, column_panels, log_ticks, quiet
from fico.report.figures.files import COLOURS, INK
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.schema import read_results
from fico.report.table.table import Column, Row, Table, text_cells
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra
from fico.util.units import bytes_text, percent_text

with requires_extra("report"):
    from matplotlib.figure import Figure

SHOWN = (1, 5, 10)  # of R@K, in the figure and the table
FILES = ("growth.json", "growth.csv", "growth.svg")


@dataclass(frozen=True, slots=True)
class Growth:
    """What ``fico growth`` measured and where it was written."""

    name: str
    rows: list[GrowthRow]
    folder: Path


def grow_run(
    run: Path, distractors: Sequence[Path], *, sizes: Sequence[int] | None, seed: int, out: Path | None
) -> Growth:
    """Measures a run and writes ``growth.json``, ``growth.csv`` and ``growth.svg``.

    Args:
        run: Folder of a finished run, whose queries are used.
        distractors: Folders of runs of the same model on other splits or data sets.
        sizes: Images of each gallery, as `growth` takes them.
        seed: Order of the distractors.
        out: Where to write; default the run's folder.

    Raises:
        UsageError: A size cannot be made.
        DataError: A run did not finish, or the runs are not of one model, or share images.
    """
    results = read_results(run)
    try:
        similarity = results.config["model"]["similarity"]
    except (KeyError, TypeError) as error:
        raise DataError(f"the config of {run} has no {error}; its items cannot be compared") from error
    store, *others = (_store(folder) for folder in (run, *distractors))
    rows = growth(store, others, similarity=similarity, sizes=sizes, seed=seed)
    folder = out or run
    content = {"run": str(run), "distractors": list(map(str, distractors)), "seed": seed, "similarity": similarity}
    with atomic_write(folder / FILES[0]) as part:
        part.write_text(json.dumps(content | {"rows": [row.as_json() for row in rows]}, indent=1), encoding="utf-8")
    with atomic_write(folder / FILES[1]) as part:
        _write_csv(part, rows)
    with atomic_write(folder / FILES[2]) as part:
        draw(rows, results.name).savefig(part, format="svg")
    return Growth(results.name, rows, folder)


def _store(run: Path) -> EmbeddingStore:
    """Embeddings of a run, with the name of the data set in their origin, which makes ids unique."""
    store, results = EmbeddingStore.load(run / "embeddings"), read_results(run)
    store.origin["dataset"] = whole_name(results.data.name)
    return store


def _write_csv(path: Path, rows: Sequence[GrowthRow]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        recalls = [f"R@{k}" for k in RECALL_AT]
        table.writerow(
            ["direction", "queries", "items", "distractors", *recalls, "MedR", "search_seconds", "index_bytes"]
        )
        for row in rows:
            counts = (row.direction, row.queries, row.items, row.distractors)
            table.writerow([*counts, *row.recall.values(), row.median_rank, row.search_seconds, row.index_bytes])


def growth_table(grown: Growth) -> Table:
    """One row for each gallery and direction; recalls in percent."""
    columns = [Column("direction", is_text=True), Column("queries"), Column("items")]
    columns += [Column(f"R@{k}") for k in SHOWN]
    columns += [Column("MedR"), Column("seconds per\n1,000 queries"), Column("index")]
    title = f"{grown.name}: the gallery grows by real distractors, recall in %"
    return Table("growth", title, tuple(columns), tuple(map(_row, grown.rows)))


def _row(row: GrowthRow) -> Row:
    recalls = (percent_text(row.recall[k]) for k in SHOWN)
    costs = f"{row.median_rank:g}", f"{row.search_seconds:.3g}", bytes_text(row.index_bytes)
    return Row(text_cells(DIRECTION_NAMES[row.direction], f"{row.queries:,}", f"{row.items:,}", *recalls, *costs))


def draw(rows: Sequence[GrowthRow], name: str) -> Figure:
    """R@K of each direction, then seconds of both, over the size of the gallery."""
    figure, panels = column_panels(3, len(SHOWN))
    figure.suptitle(f"{name}: real distractors join the gallery", fontsize=TYPE + 0.5, color=INK)
    seconds = []
    for number, (axes, (direction, title)) in enumerate(zip(panels, DIRECTION_NAMES.items(), strict=False)):
        part = [row for row in rows if row.direction == direction]
        items = [row.items for row in part]
        quiet(axes, title, "%")
        labels = []
        for k, colour in zip(SHOWN, COLOURS, strict=False):
            values = [100 * row.recall[k] for row in part]
            axes.plot(items, values, color=colour, linewidth=1.2)
            labels += [EndLabel(values[-1], f"R@{k}", colour)] if values else []
        axes.set(xscale="log", ylim=(0, None))
        add_end_labels(figure, axes, labels)
        times = [row.search_seconds for row in part]
        panels[-1].plot(items, times, color=COLOURS[number], linewidth=1.2)
        seconds += [EndLabel(times[-1], title, COLOURS[number])] if times else []
    quiet(panels[-1], "search", "s / 1,000 queries", "items in the gallery")
    panels[-1].set_ylim(0)
    add_end_labels(figure, panels[-1], seconds)
    log_ticks(panels[-1])
    return figure
