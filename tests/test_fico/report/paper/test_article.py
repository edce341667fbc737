"""The LaTeX document: what TeX would refuse is found by its structure; best values bold, definitions once."""

import re
from dataclasses import replace

import pytest

from fico.report.paper.article import article
from fico.report.table.best import mark_best
from fico.report.table.latex import as_latex, escaped
from fico.report.table.table import Cell, Column, Row, Table, text_cells

KNOWN = {
    "documentclass", "usepackage", "begin", "end", "centering", "small", "caption", "label", "resizebox", "textwidth",
    "toprule", "midrule", "bottomrule", "multicolumn", "textbf", "textit", "scriptsize", "par", "smallskip",
    "footnotesize", "includegraphics", "columnwidth", "section", "item", "textbackslash", "textasciitilde",
    "textasciicircum", "textless", "textgreater", "mu", "textbar", "pm", "times", "to", "leq", "geq", "approx", "cdot",
    "ldots",
}  # fmt: skip


def check(text):
    """Refuses what pdfLaTeX would."""
    bare = re.sub(r"\\[&%$#_{}\\]", "", re.sub(r"(?<!\\)%.*", "", text))
    assert set(re.findall(r"\\([a-zA-Z]+)", bare)) <= KNOWN
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert all(ord(letter) < 256 for letter in text)
    inside = re.sub(r"\\(label|includegraphics|usepackage|documentclass|begin|end)(\[[^]]*\])?\{[^}]*\}", "", bare)
    assert not set("_#^~") & set(inside), "unescaped"
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for columns, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        for line in body.strip().splitlines():
            if line.endswith(r"\\"):
                cells = re.split(r"(?<!\\)&", line)
                spans = [int(found[1]) if (found := re.match(r"\s*\\multicolumn\{(\d+)\}", c)) else 1 for c in cells]
                assert sum(spans) == len(columns)
            else:
                assert line.strip() in (r"\toprule", r"\midrule", r"\bottomrule")


TABLES = [
    Table(
        f"table{n}-x", f"Table {n}: recall & more_{n}, 100 %",
        (Column("model", is_text=True), Column("R@1", "image to text"), Column("R@5", "image to text")),
        (
            Row((Cell("xvlm_nf"), Cell("1.00", "± 0.50", {"": 1.0}), Cell("n/a"))),
            Row(text_cells("chance", "0.1", "–"), "chance"),
        ),
        ("R@1: a definition #1.", f"Of table {n} alone: ≤ 5 “quoted” 中 ~ ^ \\ é."),
    )
    for n in (2, 3)
]  # fmt: skip


def test_the_document_is_one_that_compiles():
    text = article(TABLES, {"figure3-x": "Figure 3: precision_at, 5 % & more"})
    check(text)
    assert r"\includegraphics[width=\columnwidth]{figure3-x.pdf}" in text
    assert "Figure 3" not in text
    assert "Table 2:" not in text
    for table in TABLES:
        check(as_latex(table))


@pytest.mark.parametrize("broken", [r"\end{tabular}", r"\\", "}", r"\_"])
def test_the_check_sees_what_tex_would_refuse(broken):
    text = article(TABLES, {})
    with pytest.raises((AssertionError, IndexError)):
        check(text.replace(broken, "_" if broken == r"\_" else "", 1))


def test_a_definition_of_several_tables_is_written_once_and_models_as_their_authors_do():
    text = article(TABLES, {})
    assert text.count(escaped("R@1: a definition #1.")) == 1
    assert text.count("Of table 2 alone") == text.count("Of table 3 alone") == 1
    assert text.count("X-VLM without fusion") == 2


def rows(*values):
    return [Row((Cell(f"m{n}"), *(Cell(f"{v:.2f}", numbers={"": v}) for v in own))) for n, own in enumerate(values)]


def test_the_best_of_a_column_is_bold_and_equals_are_not():
    chance = Row((Cell("chance"), Cell("9", numbers={"": 9.0}), Cell("9", numbers={"": 9.0})), "chance")
    marked = mark_best([*rows((1.0, 0.501), (2.0, 0.502)), chance], 1)
    assert [[cell.is_best for cell in row.cells] for row in marked] == [[False] * 3, [False, True, False], [False] * 3]


def test_one_run_alone_is_not_the_best_and_gaps_are_passed_over():
    assert not any(cell.is_best for row in mark_best(rows((1.0, 2.0)), 1) for cell in row.cells)
    holed = [*rows((1.0,), (2.0,)), Row(text_cells("m3", "–"))]
    assert [row.cells[1].is_best for row in mark_best(holed, 1)] == [False, True, False]
    assert mark_best([], 1) == []


def test_marking_leaves_everything_else():
    (row, *_) = mark_best(rows((1.0,), (2.0,)), 1)
    assert replace(row, kind="paper").texts == ("m0", "1.00")
