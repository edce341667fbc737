"""A sweep's name, its finished jobs and its table."""

import re
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from fico.experiment import runner, sweep
from fico.experiment.config.hydra_errors import Stop
from fico.experiment.sweep import SweepTable, is_finished, run_key, sweep_name
from tests.configs import composed


def test_the_same_command_has_the_same_name_whatever_hydra_is_told():
    arguments = ["-m", "model=ucch,dadh", "model.bits=16,32"]
    assert re.fullmatch(r"model-ucch-dadh_model\.bits-16-32-[0-9a-f]{8}", sweep_name(arguments))
    assert sweep_name(["-m", "experiment=mini"]) == "experiment-mini"
    assert sweep_name([*arguments, "run.resume=never"]) == sweep_name(arguments)
    assert sweep_name([*arguments, "hydra.verbose=true"]) == sweep_name(arguments)


def test_a_long_name_is_cut_and_stays_its_own():
    long = [f"model.bits={','.join(map(str, range(8, 800, 8)))}"]
    other = [long[0] + ",808"]
    assert len(sweep_name(long)) < 160
    assert sweep_name(long) != sweep_name(other)


@pytest.mark.parametrize("value", ["/a/b", "/a b", "ü", "a=b", "a'b", "[x,y]", "a,b", "$x"])
def test_a_name_is_one_folder_that_needs_no_quotes(value):
    name = sweep_name([f"dataset.root={value}"])
    assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    assert name != sweep_name([f"dataset.root={value}-"])


@pytest.mark.parametrize(
    ("config", "data", "is_same"),
    [
        ({"seed": 0, "name": "other", "logger": {}}, ["a"], True),
        ({"seed": 1, "name": "x", "logger": None}, ["a"], False),
        ({"seed": 0, "name": "x", "logger": None}, ["b"], False),
    ],
)
def test_the_key_follows_what_changes_a_number(config, data, is_same):
    key = run_key({"seed": 0, "name": "x", "logger": None}, ["a"])
    assert (run_key(config, data) == key) is is_same


def test_the_key_follows_every_group_of_the_config():
    config = OmegaConf.to_container(composed(), resolve=True)
    key = run_key(config, [])
    followed = {name for name in config if run_key(config | {name: "changed"}, []) != key}
    assert set(config) - followed == {"logger", "name", "run"}
    assert {"model", "dataset", "features", "metric", "index", "callbacks", "trainer", "stage"} <= followed


@pytest.mark.parametrize("file", ["fico/a.py", "fico/deep/b.py", "models/c.py", "callbacks/d.py"])
def test_the_key_follows_the_code(tmp_path, monkeypatch, file):
    monkeypatch.setattr(sweep, "SOURCE", tmp_path)
    before = run_key({}, [])
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("x = 1")
    assert run_key({}, []) != before
    found = run_key({}, [])
    (tmp_path / file).write_text("x = 2")
    assert run_key({}, []) != found


def test_a_folder_without_results_is_not_finished(tmp_path):
    assert not is_finished(tmp_path, "")
    (tmp_path / "results.json").write_text("{")
    assert not is_finished(tmp_path, "")


def test_failed_jobs_are_listed_and_the_folder_comes_last(tmp_path, caplog, capsys):
    table = SweepTable()
    table.on_multirun_start(OmegaConf.create({"hydra": {"runtime": {"choices": {"hydra/launcher": "basic"}}}}))
    failed = JobReturn(overrides=["model=a"], status=JobStatus.FAILED)
    failed.return_value = ValueError("broken\nmore")
    table.on_job_end(None, failed)
    table.on_job_end(None, SimpleNamespace(status=JobStatus.COMPLETED))
    assert failed.status is JobStatus.COMPLETED  # for Hydra, which would not come to the end of the sweep
    with pytest.raises(Stop) as stop:
        table.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert str(stop.value.args[0]).startswith("1 of 2 jobs of the sweep failed")
    assert stop.value.args[0].exit_code == 1
    out, err = capsys.readouterr()
    assert "failed: model=a (broken)\n" in err
    assert "ValueError: broken" in caplog.text  # no error of ours: with its traceback
    *_, advice, last = out.strip().splitlines()
    assert last == str(tmp_path)
    assert advice.endswith(f"fico report {tmp_path}")
    assert (tmp_path / "sweep.csv").exists()


def test_a_failure_in_a_process_of_a_launcher_stays_one(tmp_path):
    failed = JobReturn(overrides=["model=a"], status=JobStatus.FAILED)
    SweepTable().on_job_end(None, failed)  # a copy, for which no sweep has begun
    assert failed.status is JobStatus.FAILED


def test_other_weights_under_the_same_path_are_another_run(tmp_path):
    path = tmp_path / "model.safetensors"
    model = OmegaConf.create({"weights": str(path), "checkpoint": None})
    path.write_bytes(b"a")
    before = runner._weight_digests(model)
    assert runner._weight_digests(model) == before
    path.write_bytes(b"b")
    assert runner._weight_digests(model) != before
