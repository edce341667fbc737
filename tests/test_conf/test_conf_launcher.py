"""Hydra's launchers: their files, what is missing for them, and a sweep in local processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fico.errors import UsageError
from fico.experiment.config import launcher
from fico.experiment.config.hydra_errors import is_wrong_usage, sentence
from fico.experiment.config.resolvers import register_resolvers

CONF = Path(__file__).resolve().parents[2] / "conf" / "hydra" / "launcher"
SMALL = ("dataset.images=30", "model.epochs=1", "index=[]", "logger=none", "metric.bootstrap=2")


@pytest.mark.parametrize("name", ["submitit_local", "submitit_slurm"])
def test_a_file_has_exactly_the_settings_of_its_launcher(name):
    config = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.config")
    schema = {"submitit_local": config.LocalQueueConf, "submitit_slurm": config.SlurmQueueConf}[name]
    ours = OmegaConf.load(CONF / f"{name}.yaml")
    assert set(ours) == set(OmegaConf.structured(schema))
    OmegaConf.merge(OmegaConf.structured(schema), ours)  # refuses a value of another type


@pytest.mark.parametrize(("package", "extra"), launcher.EXTRAS.items())
def test_a_missing_package_is_named_with_its_extra(package, extra):
    error = RuntimeError(f"Unknown plugin class : 'hydra_plugins.{package}.x.Launcher'")  # as Hydra raises it
    assert is_wrong_usage(error)
    assert f'pip install "fico[{extra}]"' in sentence(error)
    assert "\n" not in sentence(error)
    assert launcher.missing_launcher(RuntimeError("other")) is None


def test_a_launcher_that_hydra_ignores_is_refused(monkeypatch):
    monkeypatch.setenv("FICO_LAUNCHER", "")
    launcher.note_launcher({"hydra/launcher": "basic"})
    launcher.check_launcher({"hydra/launcher": "basic"}, OmegaConf.create())
    with pytest.raises(UsageError, match="on the command line: -m hydra/launcher=ray"):
        launcher.check_launcher({"hydra/launcher": "ray"}, OmegaConf.create())


@pytest.mark.parametrize("key", ["times", "attention"])
def test_times_are_not_measured_beside_other_jobs(monkeypatch, key):
    config = OmegaConf.create({"callbacks": {key: {"budget": 1}}})
    for name in ("basic", "submitit_slurm", "ray"):
        monkeypatch.setenv("FICO_LAUNCHER", name)
        launcher.check_launcher({"hydra/launcher": name}, config)
    monkeypatch.setenv("FICO_LAUNCHER", "submitit_local")
    launcher.check_launcher({"hydra/launcher": "submitit_local"}, OmegaConf.create({"callbacks": {key: None}}))
    with pytest.raises(UsageError, match=f"falsifies the times of callbacks.{key}; sweep without it"):
        launcher.check_launcher({"hydra/launcher": "submitit_local"}, config)


@pytest.mark.parametrize(("count", "all_of_them", "of_a_ray_job"), [(0, 0, 0), (1, 1, 1), (4, 4, 1)])
def test_jobs_in_other_processes_see_the_gpus(monkeypatch, count, all_of_them, of_a_ray_job):
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    register_resolvers()
    assert OmegaConf.load(CONF / "submitit_local.yaml").gpus_per_node == all_of_them
    assert OmegaConf.load(CONF / "ray.yaml").ray.remote.num_gpus == of_a_ray_job


def test_a_sweep_in_local_processes_leaves_what_any_sweep_does(warm_python, tmp_path):
    pytest.importorskip("submitit")
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = warm_python(
        "run.py", "-m", "hydra/launcher=submitit_local", "model=ucch", "model.bits=16", *SMALL,
        f"hydra.sweep.dir={tmp_path}", env=variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "deprecated" not in done.stderr
    assert json.loads((tmp_path / "0-ucch-16-shapes-s0" / "results.json").read_text())["model"]["bits"] == 16
    assert (tmp_path / "sweep.csv").exists()
    assert done.stdout.strip().splitlines()[-1] == str(tmp_path)


def test_a_sweep_on_a_local_ray_leaves_what_any_sweep_does(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="hydra-ray-launcher is not installed: see .ci/run")
    done = subprocess.run(
        [
            sys.executable, "run.py", "-m", "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2",
            "hydra.launcher.ray.init.address=local", "hydra.launcher.ray.remote.num_cpus=1", "model=ucch",
            "model.bits=16,32", *SMALL, f"hydra.sweep.dir={tmp_path}",
        ],
        cwd=CONF.parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for number, bits in enumerate((16, 32)):
        results = json.loads((tmp_path / f"{number}-ucch-{bits}-shapes-s0" / "results.json").read_text())
        assert (results["status"], results["model"]["bits"]) == ("finished", bits)
    assert (tmp_path / "sweep.csv").exists()
    assert done.stdout.strip().splitlines()[-1] == str(tmp_path)
