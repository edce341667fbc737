"""The formats of a table: each holds every text, escaped in its own way."""

import csv
import io
import re

import pytest

from fico.report.html.environment import page_environment
from fico.report.table.comma_separated import as_csv
from fico.report.table.latex import as_latex
from fico.report.table.latex import escaped as latex_escaped
from fico.report.table.markdown import as_markdown
from fico.report.table.table import Cell, Column, Row, Scale, Table, text_cells
from fico.report.table.terminal import print_table


class TestFormats:
    AWKWARD = "a_b & 100% #1 {x} ~ ^ \\ <b> $|*"
    TABLE = Table(
        "table9-x",
        AWKWARD,
        (Column("model", is_text=True), Column("R@1", "image to text")),
        (Row((Cell(AWKWARD), Cell("1.00", "± 0.50", {"": 1.0, "sd": 0.5}, is_best=True))),),
        (AWKWARD,),
    )

    def test_latex_is_escaped(self):
        text = as_latex(self.TABLE)
        wanted = (
            r"a\_b \& 100\% \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} "
            r"\textless{}b\textgreater{} \$\textbar{}*"
        )
        assert text.count(wanted) == 3
        assert r"\textbf{1.00} {\scriptsize $\pm$ 0.50}" in text
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
        assert latex_escaped("[before]") == "{[}before{]}"

    def test_markdown_keeps_its_columns(self):
        lines = [line for line in as_markdown(self.TABLE).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
        assert "<b>" not in as_markdown(self.TABLE)

    def test_csv_holds_numbers_unrounded_in_columns_of_their_own(self):
        (row,) = csv.DictReader(io.StringIO(as_csv(self.TABLE)))
        assert row == {"row": "run", "model": self.AWKWARD, "image to text R@1": "1", "image to text R@1 sd": "0.5"}

    def test_a_row_of_another_width_is_refused(self):
        with pytest.raises(ValueError, match="2 columns"):
            Table("x", "", self.TABLE.columns, (Row((Cell(""),)),))


def printed(table):
    file = io.StringIO()
    print_table(table, file)
    return file.getvalue()


def as_html(table):
    template = page_environment().from_string(
        '{% from "table.html.jinja" import table, notes %}{{ table(t) }}{{ notes(t) }}'
    )
    return template.render(t=table)


class TestTerminal:
    def test_a_pipe_gets_a_wide_table_whole(self):
        names = [f"column{number}" for number in range(60)]
        table = Table("wide", "Wide", tuple(map(Column, names)), (Row(text_cells(*(name.upper() for name in names))),))
        text = printed(table)
        assert "…" not in text
        assert all(name in text and name.upper() in text for name in names)

    def test_folded_rows_are_counted_and_detail_columns_left_out(self):
        columns = (Column("index", is_text=True), Column("shown"), Column("detail", is_detail=True))
        rows = (Row(text_cells("flat", "1", "2")), Row(text_cells("slow", "3", "4"), "dominated"))
        table = Table("t", "Title", columns, rows, ("A note.",), frozenset({"dominated"}))
        text = printed(table)
        assert "slow" not in text
        assert "detail" not in text
        assert "1 more row is not shown.\nA note." in text
        for format_ in (as_markdown, as_latex, as_csv, as_html):
            assert "slow" in format_(table)
            assert "detail" in format_(table)

    def test_a_group_is_named_once_above_its_columns(self):
        columns = (Column("index", is_text=True), *(Column(f"in {k}", "top 1") for k in (1, 10)))
        lines = printed(Table("t", "Title", columns, (Row(text_cells("flat", "1", "2")),))).splitlines()
        assert lines[1].split() == ["top", "1"]
        assert lines[2].split() == ["index", "in", "1", "in", "10"]

    def test_square_brackets_are_text(self):
        text = printed(Table("t", "stage=[test]", (Column("[bold]"),), (Row(text_cells("[red]x")),), ("[fit,test]",)))
        assert all(part in text for part in ("stage=[test]", "[bold]", "[red]x", "[fit,test]"))


class TestHtml:
    def test_text_hints_and_notes_are_escaped(self):
        row = Row((Cell("<b>", "<i>", hint='"quoted" <u>'),))
        page = as_html(Table("t", "Title", (Column("<s>", "<em>"),), (row,), ("<p>",)))
        assert re.findall(r"<(?:b|i|u|s|em|p)>", page) == []

    def test_an_interval_is_drawn_on_the_scale_of_its_direction(self):
        columns = (Column("metric"), Column("value", "text to image", tone="t2i"), Column("interval", "text to image"))
        cells = (Cell("R@1"), Cell("50.00"), Cell("40.0–60.0", scale=Scale(50, 40, 60, 5)))
        page = as_html(Table("t", "Title", columns, (Row(cells),)))
        assert 'fill="var(--t2i)"' in page
        assert 'x="43.00"' in page
        assert "M8.00 0v14" in page, "chance"


def test_latex_numbers_its_tables_itself():
    table = Table("table2-x", "Table 2: instance level", (Column("model"),), (Row(text_cells("scan")),))
    assert r"\caption{instance level}" in as_latex(table)
