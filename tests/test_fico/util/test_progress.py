import re
import time

import pytest

from fico.util import progress
from fico.util.progress import ProgressBar, track


def test_quick_work_draws_nothing(capsys):
    assert list(track(range(5), 5, "count")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("is_shown", [True, False])
def test_slow_work_draws_a_bar_on_standard_error_if_shown(capsys, monkeypatch, is_shown):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # standard error is a terminal
    with ProgressBar(4, "count", is_shown=is_shown) as bar:
        bar.advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("count" in err and "100%" in err) is is_shown


def test_in_a_pipe_slow_work_writes_a_line_and_then_how_much_is_done_and_left(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.03)
    with ProgressBar(4, "Counting") as bar:
        time.sleep(0.1)  # no unit is done, and it says so
        bar.advance(1)
        time.sleep(0.1)
        bar.advance(3)  # all are
        time.sleep(0.1)
        lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Counting"
    assert re.fullmatch(r"Counting: [\d.]+ ms so far", lines[1])
    assert re.fullmatch(r"Counting: 25 %, about [\d.]+ (ms|s) left", lines[-1])
    assert all(re.search("so far|25 %", line) for line in lines[1:])
    assert capsys.readouterr() == ("", "")


def test_in_a_pipe_quick_work_writes_nothing(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.05)
    assert list(track(range(5), 5, "Counting")) == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError), ProgressBar(5, "Failing"):
        raise KeyError
    time.sleep(0.1)
    assert capsys.readouterr() == ("", "")


def test_a_user_who_wants_quiet_sees_no_progress(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    monkeypatch.setenv("FICO_QUIET", "1")
    with ProgressBar(5, "Counting"):
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_the_bar_ends_where_the_work_fails(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    with pytest.raises(ZeroDivisionError):
        list(track((1 // item for item in (1, 0)), 2, "divide"))
    list(track(range(3), 3, "count"))  # a second live display would be refused
