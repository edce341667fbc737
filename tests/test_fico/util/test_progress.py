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


def test_in_a_pipe_slow_work_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    assert list(track(range(5), 5, "Counting")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "Counting\n")


def test_a_user_who_wants_quiet_sees_no_progress(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    monkeypatch.setenv("FICO_QUIET", "1")
    assert list(track(range(5), 5, "Counting")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


def test_the_bar_ends_where_the_work_fails(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    with pytest.raises(ZeroDivisionError):
        list(track((1 // item for item in (1, 0)), 2, "divide"))
    list(track(range(3), 3, "count"))  # a second live display would be refused
