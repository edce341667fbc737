"""run.py as a stranger types it: exit codes, sentences, signals, and no results.json where nothing was finished."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


WRONG = {
    "modle=ucch": "modle",
    "model=nothing": "available: ",
    "index=[flat,flatt]": "available: binary_flat, ",
    "model.bit=16": "did you mean bits",
    "model.bits=12": "model.bits is 12",
    "model.bits=0": "model.bits is 0",
    "model.lr=1": "set model.module.optimizer.lr",
    "lr=1": "set model.module.optimizer.lr",
    "trainer.max_epochs=3": "set model.epochs",
    "epochs=3": "set model.epochs",
    "experiment=table2": "add -m",
    "stage=[test]": "untrained network",
}
ASKED = (("--help",), ("--cfg", "job", "--resolve"))
# A new process imports what run.py does; each command runs in a fork of it, which took that time too.
NEW_PROCESS = """
import json, os, runpy, sys, time
begin = time.perf_counter()
runpy.run_path("run.py", run_name="imported")
imports = time.perf_counter() - begin
commands, folder = json.loads(sys.argv[1]), sys.argv[2]
for number, command in enumerate(commands):
    begin = time.perf_counter()
    process = os.fork()
    if not process:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = sys.orig_argv[1:2] = ["run.py", *command]
        runpy.run_path("run.py", run_name="__main__")
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(json.dumps({"code": code, "seconds": imports + time.perf_counter() - begin}), flush=True)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Exit code, seconds from the start of Python, and output of commands with nothing but their own imports."""
    folder = tmp_path_factory.mktemp("answers")
    wrong = [(f"hydra.run.dir={folder / str(row)}", "model=ucch", argument) for row, argument in enumerate(WRONG)]
    command = [sys.executable, "-c", NEW_PROCESS, json.dumps([*wrong, *ASKED]), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = [
        SimpleNamespace(
            **json.loads(line), out=(folder / f"{row}.out").read_text(), err=(folder / f"{row}.err").read_text()
        )
        for row, line in enumerate(done.stdout.splitlines())
    ]
    return dict(zip([*WRONG, *ASKED], found, strict=True))


@pytest.fixture
def warm_finish(warm_python):
    """The same in a process that has the frameworks imported: where neither time nor imports are tested."""

    def finish(folder, *arguments):
        done = warm_python("run.py", f"hydra.run.dir={folder}", *arguments)
        return done.returncode, done.stdout, done.stderr

    return finish


@pytest.mark.parametrize(("argument", "message"), WRONG.items())
def test_wrong_usage_is_one_sentence_and_exit_2_within_3_seconds(answers, argument, message):
    answer = answers[argument]
    assert answer.code == 2
    assert message in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.seconds < 3
    assert not answer.out


def test_a_model_of_floats_has_no_code_length(tmp_path, warm_finish):
    code, _, err = warm_finish(tmp_path, "model=vsrn", "model.bits=32")
    assert code == 2
    assert "this model returns floats, only hashing models such as ucch and clip_hash have a code length" in err


@pytest.mark.parametrize("arguments", ASKED)
def test_help_and_config_answer_within_3_seconds(answers, arguments):
    answer = answers[arguments]
    assert answer.code == 0, answer.err
    assert "seed" in answer.out
    assert answer.seconds < 3


def test_a_missing_folder_is_named(tmp_path, warm_finish):
    code, _, err = warm_finish(tmp_path / "run", "dataset=karpathy", f"dataset.root={tmp_path / 'nowhere'}")
    assert code == 2
    assert str(tmp_path / "nowhere") in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize("folder", ["/proc/run", "/dev/null/run"])
def test_a_folder_that_cannot_be_made_is_one_sentence(folder, warm_finish):
    code, out, err = warm_finish(folder, "model=ucch")
    assert code == 2
    assert err.startswith(f"{folder}: ")
    assert err.strip().endswith("choose another folder (hydra.run.dir=FOLDER)")
    assert len(err.strip().splitlines()) == 1
    assert not out


@pytest.mark.parametrize("name", ["a b", "a=b", "größe", "it's", "a(b)&c"])
def test_a_folder_of_any_name_works(tmp_path, name, warm_finish):
    code, _, err = warm_finish(tmp_path / name, "model=ucch", f"dataset.root={tmp_path / name}", "dataset.images=5")
    assert (code, err.strip()) == (2, "dataset.images is 5, but must be a whole number of at least 20")
    assert (tmp_path / name).is_dir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_training_ends_with_its_code_and_no_results(tmp_path, number, warm_python, warm_finish):
    """In a fork as in a new process: the signal comes long after the imports, to handlers that run.py sets itself."""
    same = ("model=ucch", "dataset.images=30", "model.epochs=100000", "logger=none")
    process = warm_python.start("run.py", f"hydra.run.dir={tmp_path}", *same)
    try:
        log = tmp_path / "run.log"
        deadline = time.monotonic() + 100
        while not (log.exists() and "epoch 2 of" in log.read_text()):
            assert process.poll() is None, process.finish().stderr
            assert time.monotonic() < deadline
            time.sleep(0.2)
        if number is signal.SIGTERM:  # once is enough
            code, _, told = warm_finish(tmp_path, *same)
            assert code == 2
            assert told.strip().endswith("wait for its end, or give another folder (hydra.run.dir=FOLDER)")
        process.send_signal(number)
        deadline = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
    done = process.finish()
    assert done.returncode == 128 + number, done.stderr[-2000:]
    *_, last = done.stderr.strip().splitlines()
    command = shlex.join([sys.executable, "run.py", f"hydra.run.dir={tmp_path}", *same])
    assert last == f"interrupted by {signal.Signals(number).name}; to go on from there: {command}"
    assert f"ucch-64-shapes-s0 (fit, test) begins; its files: {tmp_path}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results.json").exists()
    json_files = [path.name for path in tmp_path.rglob("results*.json*")]
    assert json_files == []
