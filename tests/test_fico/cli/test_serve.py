"""``fico serve`` as it is started and ended."""

import signal
import socket
import time
import urllib.request

import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import UsageError
from fico.serve import server


@pytest.fixture
def taken():
    with socket.create_server((server.HOST, 0)) as other:
        yield other.getsockname()[1]


def test_a_port_that_is_taken_is_one_sentence(taken, tmp_path):
    done = CliRunner().invoke(app, ["serve", str(tmp_path), "--port", str(taken)])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert f"port {taken} of 127.0.0.1 cannot be used" in done.stderr
    assert "--port" in done.stderr


def test_without_a_port_the_next_free_one_is_taken(taken, monkeypatch):
    monkeypatch.setattr(server, "DEFAULT_PORT", taken)
    with server.free_port(None) as bound:
        assert taken < bound.getsockname()[1] < taken + server.TRIED
    monkeypatch.setattr(server, "TRIED", 1)
    with pytest.raises(UsageError, match="each port from"):
        server.free_port(None)


@pytest.mark.parametrize(("words", "code"), [(["nowhere"], 2), ([], 2), ([".", "--images", "nowhere"], 2)])
def test_what_is_not_there_is_one_sentence(words, code):
    done = CliRunner().invoke(app, ["serve", *words])
    assert done.exit_code == code
    assert "nowhere" in done.stderr or "RUN" in done.stderr


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path):
    done = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert (done.exit_code, "give the folder that a run printed last" in done.stderr) == (1, True)


def test_the_page_is_there_until_ctrl_c_ends_it_with_130(runs, warm_python):
    port = _free()
    process = warm_python.start("-m", "fico", "serve", runs["ucch"], "--port", port)
    assert b"shapes test" in _page(port, process)
    process.send_signal(signal.SIGINT)
    done = process.finish()
    *_, started, stopped = done.stderr.strip().splitlines()
    assert f" at http://127.0.0.1:{port}" in started
    assert (stopped, done.returncode) == ("fico: stopped", 130)


def _page(port, process):
    """The start page, as soon as it is there."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
                return page.read()
        except OSError:  # not yet
            time.sleep(0.05)
    raise AssertionError(process.finish().stderr)


def _free():
    with socket.create_server((server.HOST, 0)) as other:
        return other.getsockname()[1]
