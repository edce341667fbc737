"""Kills runs at random moments, repeats the same command until it ends, and compares with an uninterrupted run.

    python tests/kill_loop.py --kills 100 --seed 0 [--only NAME ...] [--folder DIR]

The runs of one process are forks of this one, which has imported everything, so that a kill costs what the run does.
"""

import argparse
import hashlib
import json
import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SMALL = ("dataset.images=40", "model.epochs=2", "metric.bootstrap=5", "logger=none", "index=[]", "trainer=cpu")
BENCH = (
    "bench.queries=50",
    "bench.items=2000",
    "bench.dim=32",
    "bench.bits=16",
    "bench.indexes=[flat,binary_flat,popcount]",
)
TWO = ("trainer=ddp", "trainer.accelerator=cpu")
# Times and places; all else of a result must be equal.
VARYING = re.compile(
    r"(^digest$|^files$|seconds|per_second|memory_bytes|started|hardware|versions|config|commit|Encode|rss)"
)
LEFTOVER = re.compile(r"(\.part$|\.journal$|\.lock|^unfinished\.json$|^encoded$|^\.\w.*-[0-9a-f]{8})")


@dataclass(frozen=True)
class Scenario:
    """A command: overrides of ``run.py``, or arguments of ``fico``."""

    arguments: tuple[str, ...]
    processes: int = 1
    program: str = "run"
    own_cache: bool = False
    files: tuple[str, ...] = ("results.json",)


@dataclass
class Outcome:
    """Counts of one scenario."""

    kills: int = 0
    ends: int = 0
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def scenarios(made: Path) -> dict[str, Scenario]:
    """Every kind of work; ``made`` holds a run and arrays for the commands that read them."""
    arrays = [f"--{side}={made / f'{side}.npy'}" for side in ("images", "texts")]
    return {
        "training vsrn": Scenario(("model=vsrn", *SMALL)),
        "training ucch": Scenario(("model=ucch", *SMALL)),
        "training dadh": Scenario(("model=dadh", *SMALL)),
        "encoding": Scenario(("model=clip", *SMALL, "model.epochs=1", "dataset.images=160")),
        "scoring": Scenario(("model=scan", *SMALL, "model.epochs=1")),
        "re-ranking": Scenario(("model=xvlm", *SMALL, "model.epochs=1")),
        "search": Scenario(("model=cca", *SMALL, "index=[flat,hnsw]")),
        "cache": Scenario(("model=ucch", *SMALL, "model.epochs=1"), own_cache=True),
        "sweep": Scenario(("-m", "model=ucch", "model.bits=16,32", *SMALL)),
        "search bench": Scenario(("experiment=table7", *BENCH, "logger=none"), files=()),  # its numbers are times
        "evaluate": Scenario(
            ("evaluate", *arrays, "--captions-per-image=5", "--out=out"), program="fico", files=("results.json",)
        ),
        "report": Scenario(("report", str(made / "runs"), "--out=out"), program="fico", files=("report.md",)),
        "training, two processes": Scenario(("model=vsrn", *SMALL, *TWO), processes=2),
        "scoring, two processes": Scenario(("model=scan", *SMALL, "model.epochs=1", *TWO), processes=2),
    }


class Machine:
    """Starts commands and kills them."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def start(self, scenario: Scenario, folder: Path) -> int:
        """Start a command in a folder; returns its process, which leads a group of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        cache = folder / "cache" if scenario.own_cache else self.cache
        environment = {"FICO_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        if scenario.processes > 1:
            command = [sys.executable, str(ROOT / "tests" / "kill_target.py"), *scenario.arguments]
            with (folder / "log").open("a") as log:
                return subprocess.Popen(
                    command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
                ).pid
        if process := os.fork():
            return process
        os.setsid()
        os.environ.update(environment)
        os.chdir(folder)
        log_file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(log_file, 1)
        os.dup2(log_file, 2)
        code = 70
        try:
            code = _run(scenario)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def wait(self, process: int, seconds: float) -> int | None:
        """The exit code; None where it still runs then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        return None

    def kill(self, process: int) -> None:
        """Kill the process; the others of its run must end by themselves."""
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _run(scenario: Scenario) -> int:
    """In the fork: the command, and its exit code."""
    if scenario.program == "fico":
        from fico.cli.app import app

        try:
            app(scenario.arguments, prog_name="fico")
        except SystemExit as end:
            return int(end.code or 0)
        return 0
    sys.argv = [str(ROOT / "run.py"), *scenario.arguments]
    try:
        runpy.run_path(str(ROOT / "tests" / "kill_target.py"), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def content(folder: Path, scenario: Scenario) -> dict[str, Any]:
    """What must not depend on kills: the results of every run in a folder, by place."""
    found: dict[str, Any] = {}
    for name in scenario.files:
        for path in sorted(folder.rglob(name)):
            if "cache" in path.relative_to(folder).parts:
                continue
            place = re.sub(r"\d{4}-\d\d-\d\d/[\d-]+", "DATE", str(path.relative_to(folder)))
            text = path.read_text(encoding="utf-8")
            found[place] = _constant(json.loads(text)) if name.endswith(".json") else text
    for path in sorted(folder.rglob("*.ckpt")):
        found[f"{path.parent.parent.name[-12:]}/{path.name}"] = _weights(path)
    return found


def _weights(path: Path) -> str:
    """Digest of the weights and of the states of the optimizers."""
    import torch

    checkpoint = torch.load(path, weights_only=True)
    digest = hashlib.sha256()
    for key, value in _leaves({name: checkpoint[name] for name in ("state_dict", "optimizer_states", "lr_schedulers")}):
        is_tensor = isinstance(value, torch.Tensor)
        digest.update(value.contiguous().numpy().tobytes() if is_tensor else f"{key} {value}".encode())
    return digest.hexdigest()


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, item in items:
            yield from _leaves(item, f"{key}.{name}")
    else:
        yield key, value


def _constant(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _constant(item) for key, item in value.items() if not VARYING.search(key)}
    return [_constant(item) for item in value] if isinstance(value, list) else value


def leftovers(folder: Path) -> list[str]:
    """Files that only a killed or running process has."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if LEFTOVER.search(path.name)]


def try_scenario(
    name: str, scenario: Scenario, machine: Machine, work: Path, kills: int, chance: random.Random
) -> Outcome:
    """Two uninterrupted runs, the first of which compiles and fills the caches, then killed ones."""
    outcome = Outcome()
    for reference in (work / "first", work / "whole"):
        begin = time.monotonic()
        code = machine.wait(machine.start(scenario, reference), 600)
        seconds = time.monotonic() - begin
        if code != 0:
            raise SystemExit(f"{name}: the uninterrupted run ended with {code}; see {reference / 'log'}")
    wanted = content(work / "whole", scenario)
    if wanted != content(work / "first", scenario):
        raise SystemExit(f"{name}: two uninterrupted runs differ; see {work}")
    while outcome.kills < kills:
        folder = work / f"killed-{outcome.ends}"
        code = None
        for _ in range(min(chance.randint(2, 5), kills - outcome.kills)):
            process = machine.start(scenario, folder)
            code = machine.wait(process, chance.uniform(0.02, 1.0) * seconds)
            if code is not None:
                break
            machine.kill(process)
            outcome.kills += 1
        if code is None:
            code = machine.wait(machine.start(scenario, folder), 600)
        _judge(outcome, folder, scenario, code, wanted)
    return outcome


def _judge(outcome: Outcome, folder: Path, scenario: Scenario, code: int | None, wanted: dict[str, Any]) -> None:
    outcome.ends += 1
    found = content(folder, scenario)
    if code != 0 or found.keys() != wanted.keys():
        outcome.lost.append(f"{folder}: exit code {code}, {sorted(found)}")
    elif found != wanted:
        outcome.differing.append(str(folder))
    left = leftovers(folder)
    outcome.leftovers += [f"{folder}: {path}" for path in left]
    if code == 0 and found == wanted and not left:
        shutil.rmtree(folder)


def prepare(made: Path, machine: Machine) -> None:
    """A run and arrays for the commands that read them, and a warm cache."""
    import numpy as np

    chance = np.random.default_rng(0)
    images = chance.normal(size=(400, 32)).astype(np.float32)
    texts = images.repeat(5, 0) + chance.normal(size=(2000, 32)).astype(np.float32)
    made.mkdir(parents=True, exist_ok=True)
    np.save(made / "images.npy", images)
    np.save(made / "texts.npy", texts)
    code = machine.wait(machine.start(Scenario(("model=ucch", *SMALL, "hydra.run.dir=a")), made / "runs"), 600)
    if code != 0:
        raise SystemExit(f"the first run ended with {code}; see {made / 'runs' / 'log'}")


def import_all() -> None:
    """Import what the forks use."""
    import importlib

    from fico.util.optional import MissingExtra

    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for folder in ("fico/experiment", "fico/cli", "fico/bench/table7", "models", "callbacks"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if "__main__" not in module:
                with suppress(MissingExtra):  # of an extra that the tests do without
                    importlib.import_module(module)


def main() -> int:
    """Print one line a scenario and the sum; 1 where anything was lost, differs or is left over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", nargs="*", default=[], help="names of scenarios")
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are; what failed stays there")
    options = parser.parse_args()
    work: Path = (options.folder or Path(tempfile.mkdtemp(prefix="kills-"))).resolve()
    import_all()
    machine = Machine(work / "cache")
    if not options.only or {"evaluate", "report"} & set(options.only):
        prepare(work / "made", machine)
    chosen = {name: one for name, one in scenarios(work / "made").items() if not options.only or name in options.only}
    chance, total = random.Random(options.seed), Outcome()
    for number, (name, scenario) in enumerate(chosen.items()):
        kills = options.kills // len(chosen) + (number < options.kills % len(chosen))
        one = try_scenario(name, scenario, machine, work / name.replace(" ", "-"), kills, chance)
        failures = (len(one.lost), len(one.differing), len(one.leftovers))
        _say(
            f"{name}: {one.kills} kills, {one.ends} ends, "
            f"lost {failures[0]}, differing {failures[1]}, left {failures[2]}"
        )
        for line in (*one.lost, *one.differing, *one.leftovers):
            _say(f"  {line}")
        total.kills, total.ends = total.kills + one.kills, total.ends + one.ends
        total.lost += one.lost
        total.differing += one.differing
        total.leftovers += one.leftovers
    _say(
        f"all: {total.kills} kills, {total.ends} ends, lost {len(total.lost)}, differing {len(total.differing)}, "
        f"left {len(total.leftovers)}"
    )
    return int(bool(total.lost or total.differing or total.leftovers))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
