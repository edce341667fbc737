"""Tables on terminals of 80, 100 and 160 columns, and in a pipe."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from fico.cli.compare import read_runs
from fico.report.compare.compare import compare
from fico.report.compare.examples import examples
from fico.report.compare.sweep_table import sweep_table
from fico.report.results.schema import read_results
from fico.report.run_summary.summary import print_results
from fico.report.table.table import Cell, Column, Row, Table
from fico.report.table.terminal import console_of, hanging, print_table

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "runs"
NAMES = ("ucch", "vsrn", "scan", "xvlm")


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self):
        return True


@pytest.fixture(params=[80, 100, 160])
def terminal(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("LINES", "50")
    monkeypatch.setenv("TERM", "dumb")  # no colours, so that columns can be counted
    file = Terminal()
    file.columns = request.param
    return file


def lines(file):
    return file.getvalue().splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_run_prints_fits_the_terminal(terminal, name):
    print_results(read_results(GOLDEN / name), terminal)
    assert max(map(len, lines(terminal))) <= terminal.columns
    assert not any("…" in line for line in lines(terminal))


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_there_at_any_width(terminal, name):
    pipe, results = io.StringIO(), read_results(GOLDEN / name)
    print_results(results, pipe)
    print_results(results, terminal)
    words = [word for line in lines(pipe) for word in line.split() if any(map(str.isalnum, word))]
    assert set(words) == {word for line in lines(terminal) for word in line.split() if any(map(str.isalnum, word))}


def test_below_100_columns_the_directions_are_one_below_the_other(terminal):
    results = read_results(GOLDEN / "vsrn")
    tied = {
        name: replace(metric, pessimistic=metric.value, optimistic=metric.value)
        for name, metric in results.metrics.items()
    }
    print_results(replace(results, metrics=tied), terminal)
    rows = [line for line in lines(terminal) if line.startswith("R@1 ")]
    assert len(rows) == (2 if terminal.columns < 100 else 1)


def test_a_comparison_fits_the_terminal_and_is_whole_in_a_pipe(terminal):
    table = compare(read_runs([GOLDEN / name for name in ("ucch", "vsrn", "scan")])[0])
    print_table(table, terminal)
    assert max(map(len, lines(terminal))) <= terminal.columns
    pipe = io.StringIO()
    print_table(table, pipe)
    row = next(line for line in lines(pipe) if line.startswith("instance/t2i/R@10"))
    assert all(cell.text in row for cell in next(r for r in table.rows if r.texts[0] == "instance/t2i/R@10").cells)
    assert all(note in lines(pipe) for note in table.notes)


def test_a_sweep_and_examples_fit_the_terminal(terminal):
    print_table(sweep_table("mine", [read_results(GOLDEN / name) for name in NAMES]), terminal)
    runs, _ = read_runs([GOLDEN / name for name in ("ucch", "vsrn")])
    for table in examples(runs, {"482": "a caption of many words " * 8}):
        print_table(table, terminal)
    assert max(map(len, lines(terminal))) <= terminal.columns
    assert "mAP@N" in terminal.getvalue()


def test_a_pipe_is_plain_whatever_COLUMNS_says(monkeypatch):  # noqa: N802
    monkeypatch.setenv("COLUMNS", "20")
    pipe = io.StringIO()
    cells = Row((Cell("a" * 50), Cell("1")))
    print_table(Table("x", "t", (Column("name", is_text=True), Column("n")), (cells,), ("long " * 30,)), pipe)
    assert "a" * 50 in pipe.getvalue()
    assert ("long " * 30).strip() in pipe.getvalue()
    assert "\x1b" not in pipe.getvalue()


def test_continued_lines_are_indented_on_a_terminal_alone(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    text = "ok     one  " + "word " * 10 + "\nsecond"
    shown = hanging(text, 12, console_of(Terminal())).split("\n")
    assert max(map(len, shown)) <= 30
    assert all(line.startswith(" " * 12) for line in shown[1:])
    assert hanging(text, 12, console_of(io.StringIO())) == text.replace("\n", "\n" + " " * 12)
