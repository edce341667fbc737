"""`fico reproduce`: what is there, how long it takes, and runs in an order that a budget can cut."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.reproduce import reproduce as steps_module
from fico.cli.reproduce.inputs import DATASETS, ROWS, find_rows
from fico.cli.reproduce.plan import Step, plan
from fico.cli.reproduce.reproduce import reproduce
from fico.errors import FicoError, UsageError

ROOT = Path(__file__).resolve().parents[4]
# In place of the project's own: notes its overrides, fails for `fail=1`, and leaves results as a finished run does.
RUN = """
import sys, pathlib
options = dict(each.partition("=")[::2] for each in sys.argv[1:])
folder = pathlib.Path(options["hydra.run.dir"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "options").write_text("\\n".join(sys.argv[1:]))
if "fail" in options:
    sys.exit(int(options["fail"]))
(folder / "results.json").write_text("{}")
"""

# Ends by a signal as the project's own does.
HANDLES = """
import signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: sys.exit(128 + number))
open("begun", "w")
time.sleep(100)
"""


@pytest.fixture
def folders(tmp_path):
    weights, data = tmp_path / "weights", tmp_path / "data"
    for folder in (weights, data / "flickr30k" / "features"):
        folder.mkdir(parents=True)
    for name in ("ucch.pth", "scan-flickr30k.safetensors", "scan-vocab.json", "xvlm-coco.pth", "adv_64-flickr30k.pt"):
        (weights / name).touch()
    for kind in ("vgg19", "doc2vec", "regions", "bert"):
        (data / "flickr30k" / "features" / f"{kind}.npy").touch()
    (weights / "blip2").mkdir()
    return weights, data


@pytest.fixture
def stub(tmp_path, monkeypatch):
    (tmp_path / "run.py").write_text(RUN)
    monkeypatch.setattr(steps_module, "CHECKOUT", tmp_path)


def a_step(name, predicted, *overrides):
    return Step(name, name, overrides, predicted)


def test_rows_know_their_files_and_say_which_are_missing(folders):
    rows = {(row.name, row.dataset): row for row in find_rows(*folders)}
    assert len(rows) == len(ROWS) * len(DATASETS)
    there = {key for key, row in rows.items() if not row.missing}
    of_flickr = ("ucch", "scan", "adv(64bit)", "blip2", "blip2(nf)")
    assert there == {(name, "flickr30k") for name in of_flickr}
    scan = rows["scan", "flickr30k"].overrides
    assert f"model.weights={folders[0] / 'scan-flickr30k.safetensors'}" in scan
    assert f"model.vocabulary={folders[0] / 'scan-vocab.json'}" in scan
    assert "model.bits=64" in rows["adv(64bit)", "flickr30k"].overrides
    assert rows["xvlm", "coco"].missing == ("data/coco/", "weights/xvlm-coco-vocab.txt")
    assert rows["beit3", "flickr30k"].missing == ("weights/beit3-flickr30k.safetensors", "weights/beit3-flickr30k.spm")


def test_weights_get_the_options_and_words_that_their_authors_trained_them_with(folders):
    for name in ("vsrn-flickr30k.pth.tar", "vsrn-coco.pth.tar", "vsrn-vocab.pkl", "blip2.pth", "imram.pth.tar"):
        (folders[0] / name).touch()
    (folders[0] / "blip2").rmdir()
    (folders[1] / "coco").mkdir()
    rows = {(row.name, row.dataset): row for row in find_rows(*folders)}
    vsrn = rows["vsrn", "flickr30k"].overrides
    assert f"model.vocabulary={folders[0] / 'vsrn-vocab.pkl'}" in vsrn
    branch = {"model.module.network.normalise_regions=false", "model.module.network.final_batch_norm=true"}
    assert branch < set(vsrn)
    assert not branch & set(rows["vsrn", "coco"].overrides)
    assert rows["vsrn", "coco"].missing == ("data/coco/features/regions.npy",)
    assert rows["blip2(nf)", "flickr30k"].missing == ("weights/blip2-flickr30k-vocab.txt",)  # a file has no words
    assert rows["imram", "flickr30k"].missing == ("weights/imram-flickr30k-vocab.json",)
    assert "model.inputs.text=bert" in rows["adv(64bit)", "flickr30k"].overrides


def test_overrides_go_to_the_runs_that_have_their_keys(folders):
    steps = plan(find_rows(*folders), ["trainer=gpu", "+model.precision=bf16", "bench.items=10"])
    (search,) = (step for step in steps if "experiment=table7" in step.overrides)  # as its items are given
    (ucch,) = (step for step in steps if step.name == "ucch on flickr30k")
    assert search.overrides[-2:] == ("trainer=gpu", "bench.items=10")
    assert ucch.overrides[-2:] == ("trainer=gpu", "+model.precision=bf16")


@pytest.mark.parametrize("option", ["weights", "data"])
def test_a_folder_that_is_none_is_named(folders, option):
    given = {"weights": folders[0], "data": folders[1]} | {option: folders[0] / "nowhere"}
    with pytest.raises(UsageError, match=f"--{option} .*nowhere is not a folder"):
        find_rows(**given)


def test_the_plan_takes_the_quickest_first_by_the_papers_times(folders):
    steps = plan(find_rows(*folders))
    predicted = [step.predicted for step in steps]
    assert predicted == sorted(predicted)
    assert [step.name for step in steps[:2]] == ["search of 100,000 queries in 500,000 items", "ucch on flickr30k"]
    assert steps[-1].name == "search of 1,000,000 queries in 5,000,000 items"
    blip2 = 60 + 3 * 93.27 + 2376.89 + 2 * 30  # the test and Table 5 encode, the test and Table 6 attend
    assert steps[-2].predicted == pytest.approx(blip2)
    assert steps[1].predicted == pytest.approx(60 + 60, abs=2)  # encoding alone, in the time that Table 5 has
    assert len({step.folder for step in steps}) == len(steps)
    assert [step.folder for step in steps if "experiment=table7" in step.overrides] == [
        "table7-100000-500000", "table7-500000-2500000", "table7-1000000-5000000",
    ]  # fmt: skip


def test_the_plan_knows_the_candidates_of_each_data_set(folders):
    (folders[1] / "coco").mkdir()
    steps = {step.name: step.predicted for step in plan(find_rows(*folders))}
    blip2 = 60 + 3 * (5 * 93.27) + 2 * (5 * 2376.89) + 2 * 30  # five times the images, twice the candidates
    assert steps["blip2 on coco"] == pytest.approx(blip2)
    for name, (_, candidates) in DATASETS.items():
        assert yaml.safe_load((ROOT / "conf" / "dataset" / f"{name}.yaml").read_text())["rerank_k"] == candidates


def test_finished_runs_are_kept_and_failed_ones_named_with_their_command(stub, tmp_path):
    lines = []
    steps = [a_step("one", 1.0, "model=a"), a_step("two", 1.0, "fail=1", "seed=1"), a_step("three", 1.0)]
    finished, problems = reproduce(steps, tmp_path / "out", budget=None, say=lines.append)
    assert [folder.name for folder in finished] == ["one", "three"]
    assert (tmp_path / "out/one/options").read_text().splitlines()[0] == "model=a"
    (problem,) = problems
    assert problem.startswith("two: failed with exit code 1: ")
    assert "fail=1 seed=1" in problem
    reproduce(steps, tmp_path / "out", budget=None, say=lines.append)
    assert sum("finished before" in line for line in lines) == 2


def test_a_budget_cuts_what_is_left_by_the_speed_so_far(stub, tmp_path):
    steps = [a_step("one", 5.0), a_step("two", 1e6)]
    finished, problems = reproduce(steps, tmp_path / "out", budget=60, say=lambda line: None)
    assert [folder.name for folder in finished] == ["one"]
    assert problems[0].startswith("two: left out; about ")


def test_an_interrupted_run_ends_the_command(stub, tmp_path):
    with pytest.raises(FicoError, match="interrupted by SIGTERM; the same command goes on") as error:
        reproduce([a_step("one", 1.0, "fail=143")], tmp_path, budget=None, say=lambda line: None)
    assert error.value.exit_code == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_to_the_run(tmp_path, number):
    (tmp_path / "run.py").write_text(HANDLES)
    code = "import sys, fico.cli.reproduce.reproduce as r; sys.exit(r.run_to_its_end([sys.executable, 'run.py']))"
    command = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    command.send_signal(number)
    assert command.wait() == 128 + number


def test_a_run_that_outlived_its_command_is_waited_for(stub, tmp_path):
    (tmp_path / "one").mkdir()
    lines, lock = [], FileLock(tmp_path / "one" / ".lock")
    lock.acquire()

    def say(line):
        lines.append(line)
        if "waiting for its end" in line:
            lock.release()

    assert reproduce([a_step("one", 1.0)], tmp_path, budget=None, say=say)[0] == [tmp_path / "one"]
    assert "another process is writing" in lines[1]


def test_nothing_measured_is_an_error(stub, tmp_path):
    with pytest.raises(FicoError, match="nothing could be measured: one: failed"):
        reproduce([a_step("one", 1.0, "fail=1")], tmp_path, budget=None, say=lambda line: None)


def test_the_command_lists_what_is_missing_without_a_run(folders):
    options = ["--weights", str(folders[0]), "--data", str(folders[1]), "--dry-run"]
    done = CliRunner().invoke(app, ["reproduce", *options])
    assert done.exit_code == 0, done.output
    assert "weights/vsrn-flickr30k.safetensors" in done.stdout
    assert "search of 100,000 queries in 500,000 items" in done.stdout
    assert "search of 1,000,000 queries in 5,000,000 items" in done.stdout
    wrong = CliRunner().invoke(app, ["reproduce", *options, "--budget", "soon"])
    assert wrong.exit_code == 2
    assert json.dumps("--budget")[1:-1] in wrong.output
