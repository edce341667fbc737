"""`fico reproduce`: what is there, how long it takes, and runs in an order that a budget can cut."""

import json

import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.reproduce import reproduce as steps_module
from fico.cli.reproduce.inputs import DATASETS, ROWS, find_rows
from fico.cli.reproduce.plan import Step, plan
from fico.cli.reproduce.reproduce import reproduce
from fico.errors import FicoError, UsageError

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


@pytest.fixture
def folders(tmp_path):
    weights, data = tmp_path / "weights", tmp_path / "data"
    for folder in (weights, data / "flickr30k"):
        folder.mkdir(parents=True)
    for name in ("ucch.pth", "scan-flickr30k.safetensors", "scan-vocab.json", "xvlm-coco.pth", "adv_64-flickr30k.pt"):
        (weights / name).touch()
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


@pytest.mark.parametrize("option", ["weights", "data"])
def test_a_folder_that_is_none_is_named(folders, option):
    given = {"weights": folders[0], "data": folders[1]} | {option: folders[0] / "nowhere"}
    with pytest.raises(UsageError, match=f"--{option} .*nowhere is not a folder"):
        find_rows(**given)


def test_the_plan_takes_the_quickest_first_by_the_papers_times(folders):
    steps = plan(find_rows(*folders))
    predicted = [step.predicted for step in steps]
    assert predicted == sorted(predicted)
    assert steps[0].name == "ucch on flickr30k"
    assert steps[-1].name == "blip2 on flickr30k"
    assert steps[-1].predicted == pytest.approx(60 + 93.27 + 2376.89)
    assert len({step.folder for step in steps}) == len(steps)


def test_finished_runs_are_kept_and_failed_ones_named_with_their_command(stub, tmp_path):
    lines = []
    steps = [a_step("one", 1.0, "model=a"), a_step("two", 1.0, "fail=1"), a_step("three", 1.0)]
    finished, problems = reproduce(steps, tmp_path / "out", budget=None, overrides=["seed=1"], say=lines.append)
    assert [folder.name for folder in finished] == ["one", "three"]
    assert (tmp_path / "out/one/options").read_text().splitlines()[:2] == ["model=a", "seed=1"]
    (problem,) = problems
    assert problem.startswith("two: failed with exit code 1: ")
    assert "fail=1 seed=1" in problem
    reproduce(steps, tmp_path / "out", budget=None, overrides=[], say=lines.append)
    assert sum("finished before" in line for line in lines) == 2


def test_a_budget_cuts_what_is_left_by_the_speed_so_far(stub, tmp_path):
    steps = [a_step("one", 5.0), a_step("two", 1e6)]
    finished, problems = reproduce(steps, tmp_path / "out", budget=60, overrides=[], say=lambda line: None)
    assert [folder.name for folder in finished] == ["one"]
    assert problems[0].startswith("two: left out; about ")


def test_an_interrupted_run_ends_the_command(stub, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        reproduce([a_step("one", 1.0, "fail=143")], tmp_path, budget=None, overrides=[], say=lambda line: None)


def test_nothing_measured_is_an_error(stub, tmp_path):
    with pytest.raises(FicoError, match="nothing could be measured: one: failed"):
        reproduce([a_step("one", 1.0, "fail=1")], tmp_path, budget=None, overrides=[], say=lambda line: None)


def test_the_command_lists_what_is_missing_without_a_run(folders):
    options = ["--weights", str(folders[0]), "--data", str(folders[1]), "--dry-run"]
    done = CliRunner().invoke(app, ["reproduce", *options])
    assert done.exit_code == 0, done.output
    assert "weights/vsrn-flickr30k.safetensors" in done.stdout
    assert "search of 100,000 queries in 500,000 items" in done.stdout
    wrong = CliRunner().invoke(app, ["reproduce", *options, "--budget", "soon"])
    assert wrong.exit_code == 2
    assert json.dumps("--budget")[1:-1] in wrong.output
