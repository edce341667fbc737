"""Runs under the hashing protocol beside the published numbers of the same data set and code length."""

from collections.abc import Sequence

from fico.metrics.specification import DIRECTIONS
from fico.report.paper.published_hashing import BITS, PUBLISHED, Published
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.protocol import Protocol
from fico.report.results.schema import Results
from fico.report.results.score_cell import score_cell
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, text_cells

OURS = {
    "mAP@all": "whole database, ties by index, queries without a relevant item left out",
    "mAP@N": "whole database, mean over the orders of ties, such queries count 0",
    "mAP@50": "first 50, divided by the relevant items among them; measured with metric.map_at=[10,50,100]",
}
_SUFFIX = "(hashing)"
_NOTES = (
    "In percent. Published numbers are those of their papers, which differ in features, training pairs and split; "
    "mAP@50 is another metric than mAP over the whole database.",
    "spread: lowest and highest published number of a method that several papers report.",
    *(f"{name}: {meaning}." for name, meaning in OURS.items()),
)


def hashing_table(protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """Ours and the published of one data set, by code length; None where nothing is published of it.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol.
        key: Name of the data set in file names.
    """
    published = PUBLISHED.get(protocol.data.removesuffix(_SUFFIX), ())
    groups = group_seeds([run for run in runs if run.model.bits in BITS and not is_untrained(run)])
    if not protocol.data.endswith(_SUFFIX) or not published or not groups:
        return None
    rows: list[Row] = []
    for bits in sorted({group.first.model.bits for group in groups if group.first.model.bits is not None}):
        rows += [row for group in groups if group.first.model.bits == bits for row in _ours(group, bits)]
        rows += [_published(each, bits) for each in published]
        rows += _spreads(published, bits)
    columns = (
        Column("method", is_text=True),
        Column("bits"),
        Column("source", is_text=True),
        Column("metric", is_text=True),
        *(Column(DIRECTION_NAMES[direction]) for direction in DIRECTIONS),
    )
    return Table(f"hashing-{key}", f"Published hashing, {protocol.description}", columns, tuple(rows), _NOTES)


def _ours(group: SeedGroup, bits: int) -> list[Row]:
    rows = []
    for name in OURS:
        scores = [group.score(f"category/{direction}/{name}") for direction in DIRECTIONS]
        if any(scores):
            cells = (score_cell(score, len(group.runs)) for score in scores)
            rows.append(Row((*text_cells(group.name, str(bits), "here", name), *cells)))
    return rows


def _published(each: Published, bits: int) -> Row:
    values = (side[BITS.index(bits)] for side in (each.i2t, each.t2i))
    return Row((*text_cells(each.method, str(bits), each.source, f"mAP@{each.cut}"), *map(_cell, values)), "paper")


def _spreads(published: Sequence[Published], bits: int) -> list[Row]:
    """Of each method with several numbers."""
    rows = []
    for method in dict.fromkeys(each.method for each in published):
        several = [each for each in published if each.method == method]
        sides = [
            [value for each in several if (value := side(each)[BITS.index(bits)]) is not None]
            for side in (lambda each: each.i2t, lambda each: each.t2i)
        ]
        if len(sides[0]) > 1:
            cuts = ", ".join(dict.fromkeys(f"mAP@{each.cut}" for each in several))
            cells = (Cell(f"{100 * min(side):.1f}–{100 * max(side):.1f}") for side in sides)
            rows.append(Row((*text_cells(method, str(bits), "spread", cuts), *cells), "difference"))
    return rows


def _cell(value: float | None) -> Cell:
    return Cell(NOTHING) if value is None else Cell(f"{100 * value:.1f}", numbers={"": 100 * value})
