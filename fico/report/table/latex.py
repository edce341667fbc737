"""Tables as LaTeX."""

import re

from fico.report.table.table import Cell, Row, Table

PACKAGES = ("booktabs", "graphicx")
_NUMBER = re.compile(r"^Table \d+: ")  # LaTeX numbers its tables itself
WIDE = 9  # columns; more are shrunk to the width of a page
_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "|": r"\textbar{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$", "µ": r"$\mu$", "→": r"$\to$",
    "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$",
    "·": r"$\cdot$", "…": r"\ldots{}", "“": "``", "”": "''", "’": "'", "\n": " ",
    "[": "{[}", "]": "{]}",  # behind a line break a bare one would be read as an option
}  # fmt: skip


def as_latex(table: Table) -> str:
    r"""A ``table*`` for ``\input``, fitted to the page where it is wide; needs the packages of ``PACKAGES``."""
    alignment = "".join("l" if column.is_text else "r" for column in table.columns)
    is_wide = len(alignment) > WIDE
    lines = [r"\begin{table*}[t]", r"\centering\small", rf"\caption{{{escaped(_NUMBER.sub('', table.title))}}}"]
    lines += [rf"\label{{tab:{table.key}}}", *([r"\resizebox{\textwidth}{!}{%"] if is_wide else [])]
    lines += [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
    if table.has_groups:
        above = (rf"\multicolumn{{{span}}}{{c}}{{{escaped(first.group)}}}" for first, span in table.groups)
        lines.append(" & ".join(above) + r" \\")
    lines += [" & ".join(escaped(column.name) for column in table.columns) + r" \\", r"\midrule"]
    lines += [" & ".join(_cell(cell, row) for cell in row.cells) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if is_wide else "")]
    lines += [rf"\par\smallskip\footnotesize {escaped(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def escaped(text: str) -> str:
    """Text escaped for LaTeX; a letter that its usual fonts lack, such as a Chinese one, by its code point."""
    return "".join(_ESCAPES.get(letter) or (letter if ord(letter) < 256 else f"U+{ord(letter):04X}") for letter in text)


def _cell(cell: Cell, row: Row) -> str:
    text = escaped(cell.text)
    text = rf"\textbf{{{text}}}" if cell.is_best else rf"\textit{{{text}}}" if row.kind != "run" and text else text
    return rf"{text} {{\scriptsize {escaped(cell.note)}}}" if cell.note else text
