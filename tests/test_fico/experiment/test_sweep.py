"""A sweep's name, its finished jobs and its table."""

from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from fico.experiment import runner
from fico.experiment.sweep import SweepTable, is_finished, run_key, sweep_name


def test_the_same_command_has_the_same_name_whatever_hydra_is_told():
    arguments = ["-m", "model=ucch,dadh", "model.bits=16,32"]
    assert sweep_name(arguments) == "model=ucch,dadh_model.bits=16,32"
    assert sweep_name([*arguments, "hydra.verbose=true"]) == sweep_name(arguments)


def test_a_long_name_is_cut_and_stays_its_own():
    long = [f"model.bits={','.join(map(str, range(8, 800, 8)))}"]
    other = [long[0] + ",808"]
    assert len(sweep_name(long)) < 160
    assert sweep_name(long) != sweep_name(other)


def test_a_name_is_one_folder():
    assert "/" not in sweep_name(["dataset.root=/a/b"])


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


def test_a_folder_without_results_is_not_finished(tmp_path):
    assert not is_finished(tmp_path, "")
    (tmp_path / "results.json").write_text("{")
    assert not is_finished(tmp_path, "")


def test_failed_jobs_are_listed_and_the_folder_comes_last(tmp_path, caplog, capsys):
    table = SweepTable()
    failed = JobReturn(overrides=["model=a"], status=JobStatus.FAILED)
    failed.return_value = ValueError("broken\nmore")
    table.on_job_end(None, failed)
    table.on_job_end(None, SimpleNamespace(status=JobStatus.COMPLETED))
    table.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert "failed: model=a (broken)" in caplog.text
    *_, advice, last = capsys.readouterr().out.strip().splitlines()
    assert last == str(tmp_path)
    assert advice.endswith(f"fico report {tmp_path}")
    assert (tmp_path / "sweep.csv").exists()


def test_other_weights_under_the_same_path_are_another_run(tmp_path):
    path = tmp_path / "model.safetensors"
    model = OmegaConf.create({"weights": str(path), "checkpoint": None})
    path.write_bytes(b"a")
    before = runner._weight_digests(model)
    assert runner._weight_digests(model) == before
    path.write_bytes(b"b")
    assert runner._weight_digests(model) != before
