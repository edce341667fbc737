"""Table 1 of the paper: what each model makes of an image and a caption."""

from collections.abc import Sequence

from fico.report.paper.published_metrics import ARCHITECTURE, paper_model
from fico.report.results.model_names import FAMILIES
from fico.report.results.schema import Results
from fico.report.results.seeds import group_seeds
from fico.report.table.table import NOTHING, Column, Row, Table, text_cells

_PAPER = ("approach", "attention at query time", "embedding", "image feature", "text feature", "format")


def architecture_table(runs: Sequence[Results]) -> Table:
    """One row for each model and size, with the paper's widths where a run has one of its models and sizes.

    Args:
        runs: Finished runs on any data.
    """
    names = ("model", "size", "family", "embedding", "attention at query time")
    columns = [Column(name, is_text=True) for name in names]
    rows = dict.fromkeys(_texts(group.first) for group in group_seeds(runs))
    notes = []
    if any(text != NOTHING for texts in rows for text in texts[len(names) :]):
        columns += [Column(name, "paper", is_text=True) for name in _PAPER]
        notes.append(
            "paper: FiCo-ITR, arXiv 2407.20114, Table 1; – has none. Format: f32 and f64 are floats, i8 bytes."
        )
    cells = (Row(text_cells(*texts[: len(columns)])) for texts in rows)
    return Table("table1", "Table 1: architecture", tuple(columns), tuple(cells), tuple(notes))


def _texts(results: Results) -> tuple[str, ...]:
    model = results.model
    kind = f"{model.bits} bits" if model.bits else f"{model.dim} x {model.dtype}" if model.dim else "scores only"
    name = paper_model(results) or ""  # one without fusion, xvlm(nf), has no row in the paper's table
    known = ARCHITECTURE.get(name.partition("(")[0] if "(nf)" not in name else name, [None] * len(_PAPER))
    attention = "yes" if model.query_time_attention else "no"
    return (
        model.name,
        model.size or NOTHING,
        FAMILIES[model.family],
        kind,
        attention,
        *(width or NOTHING for width in known),
    )
