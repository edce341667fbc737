"""A stub of the W&B service that is down, slow, hanging or broken, or refuses the key: some seconds, and a line."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from hydra import compose, initialize_config_dir

from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.loggers.open import open_loggers
from fico.experiment.loggers.wandb_service import finish_in_time, service_problem

ROOT = Path(__file__).resolve().parents[2]
VIEWER = {"data": {"viewer": {"id": "x", "username": "u", "entity": "e", "flags": "{}", "teams": {"edges": []}}}}
PROBLEMS = {
    "down": "Connection refused",
    "hanging": "no answer in time",
    "slow": "no answer in time",
    "broken": "its answer is 500",
    "bad key": "the key is refused",
    "no json": "Expecting value",
    "hanging later": "",
}
# What a run does with its loggers, once for each port in a fork: file `err`, and in `out` the seconds that W&B takes.
PROGRAM = """
import atexit, logging, os, sys, time
from pathlib import Path
import pytorch_lightning.loggers, wandb.apis.public
from hydra import compose, initialize_config_dir
from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.loggers.open import open_loggers

register_resolvers()
with initialize_config_dir(str(Path("conf").resolve()), version_base="1.3"):
    config = compose("config", ["logger.mode=online"]).logger

def run(folder, port):
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), number)
    os.environ["WANDB_BASE_URL"] = f"http://127.0.0.1:{port}"
    logging.basicConfig()
    begin = time.monotonic()
    atexit.register(lambda: print(time.monotonic() - begin, flush=True))
    about = {"name": "run", "group": None, "job_type": "fit", "tags": ["a"], "config": {"seed": 0}}
    with open_loggers(config, folder, about) as loggers:
        for logger in loggers:
            logger.log_metrics({"x": 1.0}, 1)
            logger.save()

folders = [Path(folder) for folder in sys.argv[1::2]]
for folder, port in zip(folders, sys.argv[2::2]):
    if os.fork() == 0:
        run(folder, port)
        sys.exit()
    os.wait()
"""


class Service(BaseHTTPRequestHandler):
    """Answers as its server's mode says."""

    def do_POST(self):
        mode, self.server.asked = self.server.mode, self.server.asked + 1
        if mode == "hanging" or (mode == "hanging later" and self.server.asked > 1):
            self.server.stop.wait(60)
            return
        if mode == "slow":
            self.server.stop.wait(5)
        code = {"broken": 500, "bad key": 401}.get(mode, 200)
        body = b"<p>proxy</p>" if mode == "no json" else json.dumps(VIEWER).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """The stub."""

    daemon_threads = True

    def __init__(self, mode):
        super().__init__(("127.0.0.1", 0), Service)
        self.mode, self.asked, self.stop = mode, 0, threading.Event()

    def handle_error(self, *_):  # the client has left
        pass


@pytest.fixture(scope="module")
def ports():
    """Port of a stub for each mode."""
    servers = {mode: Server(mode) for mode in PROBLEMS}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {mode: 9 if mode == "down" else server.server_port for mode, server in servers.items()}
    for server in servers.values():
        server.stop.set()
        server.shutdown()


@pytest.mark.parametrize("mode", [mode for mode in PROBLEMS if mode != "hanging later"])
def test_what_is_wrong_with_the_service_is_known_in_time(ports, monkeypatch, mode):
    settings = SimpleNamespace(api_key="a" * 40, base_url=f"http://127.0.0.1:{ports[mode]}")
    monkeypatch.setattr(wandb, "setup", lambda: SimpleNamespace(settings=settings))
    begin = time.monotonic()
    assert PROBLEMS[mode] in service_problem(0.5 if "ing" in mode or mode == "slow" else 3.0)
    assert time.monotonic() - begin < 4


def test_a_run_goes_offline_with_a_line(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("fico.experiment.loggers.open.service_problem", lambda: "no answer in time")
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", ["logger.mode=online"]).logger
    about = {"name": "run", "group": None, "job_type": "fit", "tags": ["a"], "config": {"seed": 0}}
    with open_loggers(config, tmp_path, about):
        pass
    assert "W&B cannot be reached (no answer in time); this run is logged offline" in caplog.messages
    assert list(tmp_path.glob("wandb/offline-run-*"))


@pytest.fixture(scope="module")
def ends(tmp_path_factory, ports):
    """Folder of a run for each mode."""
    folders = {mode: tmp_path_factory.mktemp("run") for mode in PROBLEMS}
    arguments = []
    for mode, port in ports.items():
        arguments += [str(folders[mode]), str(port)]
    own = {"WANDB_API_KEY": "a" * 40, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, env=os.environ | own, check=True, timeout=250)
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("mode", PROBLEMS)
def test_the_run_is_logged_offline_within_15_seconds_and_the_log_says_so(ends, mode):
    folder = ends[mode]
    out, err = ((folder / name).read_text() for name in ("out", "err"))
    assert "Traceback" not in err
    assert "W&B cannot be reached" in err
    assert PROBLEMS[mode] in err
    assert "this run is logged offline" in err
    assert float(out) < 15
    assert list(folder.glob("wandb/offline-run-*/*.wandb"))
    assert "x" in (folder / "metrics.csv").read_text()


def test_a_service_that_hangs_at_the_end_is_left(monkeypatch):
    monkeypatch.setattr(wandb, "finish", lambda exit_code: time.sleep(60))
    begin = time.monotonic()
    assert "took more than" in finish_in_time(0, seconds=0.2)
    assert time.monotonic() - begin < 5


def test_without_a_key_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert "WANDB_API_KEY" in service_problem()
