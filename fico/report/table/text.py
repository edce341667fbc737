"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Sequence

from fico.report.table.table import NOTHING, Cell, Grid, Row

WIDE = 9  # columns; more are shrunk to the width of a page
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$", "µ": r"\textmu{}", "→": r"$\to$", "\n": " ",
    "[": "{[}", "]": "{]}",  # behind a line break a bare one would be read as an option
}  # fmt: skip


def markdown(grid: Grid) -> str:
    """The table in GitHub's form with its title as a heading and its notes as a list."""
    heads = [" ".join(filter(None, (column.group, column.name))) for column in grid.columns]
    lines = [f"### {markdown_escaped(grid.title)}", "", _piped([markdown_escaped(head) for head in heads])]
    lines.append(_piped(["---" if column.is_text else "---:" for column in grid.columns]))
    lines += [_piped([_markdown_cell(cell, row) for cell in row.cells]) for row in grid.rows]
    if grid.notes:
        lines += ["", *(f"- {markdown_escaped(note)}" for note in grid.notes)]
    return "\n".join(lines) + "\n"


def latex(grid: Grid) -> str:
    r"""A ``table*`` for ``\input``, fitted to the page where it is wide; needs ``booktabs`` and ``graphicx``."""
    form = "".join("l" if column.is_text else "r" for column in grid.columns)
    lines = [r"\begin{table*}[t]", r"\centering\small", rf"\caption{{{latex_escaped(grid.title)}}}"]
    is_wide = len(form) > WIDE
    lines += [rf"\label{{tab:{grid.key}}}", *([r"\resizebox{\textwidth}{!}{%"] if is_wide else [])]
    lines += [rf"\begin{{tabular}}{{{form}}}", r"\toprule"]
    if any(name for name, _ in grid.groups):
        above = (rf"\multicolumn{{{span}}}{{c}}{{{latex_escaped(name)}}}" for name, span in grid.groups)
        lines.append(" & ".join(above) + r" \\")
    lines += [" & ".join(latex_escaped(column.name) for column in grid.columns) + r" \\", r"\midrule"]
    lines += [" & ".join(_latex_cell(cell, row) for cell in row.cells) + r" \\" for row in grid.rows]
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if is_wide else "")]
    lines += [rf"\par\smallskip\footnotesize {latex_escaped(note)}" for note in grid.notes]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def comma_separated(grid: Grid) -> str:
    """The numbers unrounded, in percent where the table is; a column each for value, interval, spread."""
    parts: list[list[str]] = [
        list(dict.fromkeys(part for row in grid.rows for part in row.cells[n].numbers)) or [""]
        for n in range(len(grid.columns))
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [" ".join(filter(None, (column.group, column.name))) for column in grid.columns]
    names = [" ".join(filter(None, (head, part))) for head, found in zip(heads, parts, strict=True) for part in found]
    writer.writerow(["row", *names])
    for row in grid.rows:
        cells = [_csv_value(cell, part) for cell, found in zip(row.cells, parts, strict=True) for part in found]
        writer.writerow([row.kind, *cells])
    return text.getvalue()


def markdown_escaped(text: str) -> str:
    """Text that stands for itself in a Markdown table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"([\\|`*\[\]])", r"\\\1", text)


def latex_escaped(text: str) -> str:
    """Text that stands for itself in LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell, row: Row) -> str:
    text = markdown_escaped(cell.text)
    text = f"**{text}**" if cell.is_best else f"*{text}*" if row.kind != "run" and text else text
    note = markdown_escaped(cell.note)
    return text if not note else f"{text} {note}" if note.startswith("±") else f"{text} ({note})"


def _latex_cell(cell: Cell, row: Row) -> str:
    text = latex_escaped(cell.text)
    text = rf"\textbf{{{text}}}" if cell.is_best else rf"\textit{{{text}}}" if row.kind != "run" and text else text
    return rf"{text} {{\scriptsize {latex_escaped(cell.note)}}}" if cell.note else text


def _csv_value(cell: Cell, part: str) -> str:
    if part in cell.numbers:
        return f"{cell.numbers[part]:.9g}"
    return "" if part or cell.numbers or cell.text == NOTHING else cell.text
