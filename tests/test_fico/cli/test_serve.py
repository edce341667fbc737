"""``fico serve`` as it is started and ended."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import UsageError
from fico.serve import server

ROOT = Path(__file__).resolve().parents[3]


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


def test_the_page_is_there_until_ctrl_c_ends_it_with_130(runs):
    process = subprocess.Popen(
        [sys.executable, "-m", "fico", "serve", runs["ucch"], "--port", str(_free())],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next(line for line in process.stderr if "http://127.0.0.1" in line)
        with urllib.request.urlopen(line.split(" at ")[1].split()[0], timeout=60) as page:
            assert b"shapes test" in page.read()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip().splitlines() == ["fico: stopped"]
        assert process.wait(60) == 130
    finally:
        process.kill()


def _free():
    with socket.create_server((server.HOST, 0)) as other:
        return other.getsockname()[1]
