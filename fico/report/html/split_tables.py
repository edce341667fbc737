"""The tables of a data set's page: counts of each split, and the levels that chance reaches on it."""

from collections.abc import Sequence

from fico.report.html.split_statistics import SHOWN, SplitStatistics
from fico.report.results.display import DIRECTION_NAMES
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, text_cells
from fico.util.units import percent_text


def split_table(splits: Sequence[SplitStatistics]) -> Table:
    """Counts, captions and labels per image, relevance density, fingerprint."""
    has_labels = any(split.density is not None for split in splits)
    columns = [Column("split", is_text=True), *map(Column, ("images", "captions", "captions per image"))]
    if has_labels:
        columns += map(Column, ("labels per image", "images without label", "relevance density"))
    columns.append(Column("fingerprint", emphasis="faint"))
    rows = tuple(_split_row(split, has_labels) for split in splits)
    note = "Relevance density: fraction of pairs of images that share a category, an image with itself included."
    return Table("splits", "Splits", tuple(columns), rows, (note,) if has_labels else ())


def chance_table(splits: Sequence[SplitStatistics]) -> Table:
    """The value of each metric for the gallery in random order, in percent, for the tasks that the splits have."""
    keys = [
        (task, direction, name)
        for task, names in SHOWN.items()
        for direction in DIRECTION_NAMES
        for name in names
        if any(f"{task}/{direction}/{name}" in split.chance for split in splits)
    ]
    columns = (
        Column("split", is_text=True),
        *(Column(name, f"{task} {direction}", tone=direction) for task, direction, name in keys),
    )
    rows = tuple(
        Row((Cell(split.name), *(_chance_cell(split.chance.get("/".join(key))) for key in keys))) for split in splits
    )
    return Table("chance", "Level of chance", columns, rows)


def _split_row(split: SplitStatistics, has_labels: bool) -> Row:
    each = list(split.captions_per_image)
    captions = f"{each[0]} to {each[-1]}" if len(each) > 1 else str(each[0])
    labels = (
        NOTHING if split.labels_per_image is None else f"{split.labels_per_image:.3f}",
        NOTHING if split.unlabelled is None else f"{split.unlabelled:,}",
        NOTHING if split.density is None else f"{split.density:.4f}",
    )
    counts = split.name, f"{split.images:,}", f"{split.captions:,}", captions
    return Row(text_cells(*counts, *(labels if has_labels else ()), split.fingerprint[:12]))


def _chance_cell(value: float | None) -> Cell:
    return Cell(NOTHING) if value is None else Cell(percent_text(value, 2), numbers={"": 100 * value})
