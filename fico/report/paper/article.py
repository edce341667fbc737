"""``report.tex``: tables and figures as a document that compiles, each definition once."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fico.report.results.model_names import display_name
from fico.report.table.latex import PACKAGES, as_latex, escaped
from fico.report.table.table import Cell, Row, Table

_HEAD = rf"""\documentclass[10pt,twocolumn]{{article}}
\usepackage[utf8]{{inputenc}}
\usepackage{{{",".join(PACKAGES)}}}
\usepackage[margin=2cm,columnsep=0.7cm]{{geometry}}
\begin{{document}}
"""


def article(tables: Sequence[Table], captions: Mapping[str, str]) -> str:
    """The document.

    Args:
        tables: In their order; a note that several have is written once, below all.
        captions: Of the figures, by the name of their PDF without ending.
    """
    counts = Counter(note for table in tables for note in table.notes)
    common = [note for note, times in counts.items() if times > 1]
    own = [replace(named(t), notes=tuple(note for note in t.notes if counts[note] == 1)) for t in tables]
    parts = [_HEAD, *map(as_latex, own), *(_figure(name, caption) for name, caption in captions.items())]
    if common:
        items = "\n".join(rf"\item[--] {escaped(note)}" for note in common)
        parts.append("\\section*{Definitions}\n\\begin{itemize}\n" + items + "\n\\end{itemize}\n")
    return "\n".join([*parts, "\\end{document}\n"])


def named(table: Table) -> Table:
    """The table with its models as their authors write them."""
    return replace(table, rows=tuple(_named(row) if table.columns[0].name == "model" else row for row in table.rows))


def _named(row: Row) -> Row:
    first, *others = row.cells
    return replace(row, cells=(Cell(display_name(first.text), first.note, is_best=first.is_best), *others))


def _figure(name: str, caption: str) -> str:
    text = re.sub(r"^Figure \d+: ", "", caption)  # LaTeX numbers them itself
    lines = [r"\begin{figure}[t]", r"\centering", rf"\includegraphics[width=\columnwidth]{{{name}.pdf}}"]
    return "\n".join([*lines, rf"\caption{{{escaped(text)}}}", rf"\label{{fig:{name}}}", r"\end{figure}", ""])
