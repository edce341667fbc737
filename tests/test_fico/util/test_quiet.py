"""What is told on standard error, and when."""

import io
import logging
import sys

from typer.testing import CliRunner

from fico.cli.app import app
from fico.util.quiet import QUIET, AboveTheBar, is_quiet


def test_a_log_line_goes_to_what_standard_error_is_at_the_moment(monkeypatch):
    handler = AboveTheBar()
    first, second = io.StringIO(), io.StringIO()
    for stream in (first, second):  # a progress bar puts its own in place while it is drawn
        monkeypatch.setattr(sys, "stderr", stream)
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "a line", None, None))
    assert (first.getvalue(), second.getvalue()) == ("a line\n", "a line\n")


def test_quiet_before_a_command_reaches_what_it_calls(monkeypatch):
    monkeypatch.setenv(QUIET, "0")  # restored afterwards
    assert not is_quiet()
    assert CliRunner().invoke(app, ["--quiet", "doctor", "--help"]).exit_code == 0
    assert is_quiet()
