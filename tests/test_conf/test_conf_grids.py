"""A sweep over several grids: which jobs it has, and that those of `experiment=mini` compose."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from tests.configs import CONF, composed

MINI = OmegaConf.to_container(OmegaConf.load(CONF / "experiment" / "mini.yaml"))["hydra"]["sweeper"]


def jobs(arguments, params, further, batch=None):
    """Batches of a sweep's jobs, as Hydra asks for them."""
    sweeper = Plugins.instance().class_name_to_class["hydra_plugins.grids.GridSweeper"](batch, params, further)
    sweeper.hydra_context, sweeper._arguments = SimpleNamespace(config_loader=None), arguments
    overrides = OverridesParser.create().parse_overrides([*(f"{k}={v}" for k, v in params.items()), *arguments])
    return sweeper.split_arguments(overrides, batch)


def test_a_sweep_runs_the_product_of_each_grid():
    found = jobs(["experiment=all"], {"model": "a,b"}, [{"model": "a", "bits": "1,2"}, {"experiment": "other"}])
    first = [["model=a", "experiment=all"], ["model=b", "experiment=all"]]
    bits = [["model=a", "bits=1", "experiment=all"], ["model=a", "bits=2", "experiment=all"]]
    assert found == [[*first, *bits, ["experiment=other"]]]


def test_what_the_command_line_sets_holds_in_every_grid_but_in_those_that_sweep_over_it():
    grids = [{"model": "a", "bits": "1"}, {"experiment": "other", "items": 5}]
    each = ["model=a"], ["model=a", "bits=1"], ["experiment=other", "items=5"]
    assert jobs(["seed=0,1"], {"model": "a"}, grids) == [[[*job, f"seed={seed}"] for job in each for seed in (0, 1)]]
    assert jobs(["model=b"], {"model": "a"}, grids[:1]) == [[["model=b"]]]


def test_a_grid_with_an_experiment_of_its_own_takes_only_what_every_experiment_has():
    grids = [{"experiment": "other"}]
    assert jobs(["model.epochs=1"], {"model": "a"}, grids) == [[["model=a", "model.epochs=1"]]]
    common = ["logger=none", "run.resume=never"]
    assert jobs(common, {"model": "a"}, grids) == [[["model=a", *common], ["experiment=other", *common]]]


def test_the_jobs_come_in_batches_over_all_grids():
    assert [len(each) for each in jobs([], {"model": "a,b"}, [{"model": "c"}], 2)] == [2, 1]


def test_mini_has_every_code_length_of_table_3_and_two_sizes_of_table_6():
    (found,) = jobs(["experiment=mini"], MINI["params"], MINI["further"])
    assert {job[1] for job in found if job[0] == "model=ucch"} == {
        "experiment=mini", "model.bits=16", "model.bits=32", "model.bits=128"
    }  # fmt: skip
    (number,) = re.findall(r"experiment-mini/(\d+)-ucch-64", (CONF.parent / "docs" / "faq.md").read_text())
    assert found[int(number)] == ["model=ucch", "experiment=mini"]
    attending = {job[1] for job in found if "experiment=table6" in job}
    assert attending == {"model=blip2", "model=imram", "model=scan", "model=xvlm"}


@pytest.mark.parametrize("grid", MINI["further"], ids=str)
def test_the_further_jobs_of_mini_compose(grid):
    job = jobs(["experiment=mini"], {}, [grid])[0][-1]
    assert OmegaConf.to_container(composed(*job), resolve=True)


def test_models_without_fusion_take_the_weights_of_those_with_it_in_the_same_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(sweep=SimpleNamespace(dir=str(tmp_path))))
    (found,) = jobs(["experiment=mini"], MINI["params"], MINI["further"])
    assert [job[:2] for job in found[-2:]] == [["model=blip2_nf", "stage=[test]"], ["model=xvlm_nf", "stage=[test]"]]
    config = composed("experiment=mini", "model=xvlm_nf", "seed=3", "stage=[test]")
    assert composed("experiment=mini", "model=xvlm_nf", "seed=3").model.checkpoint is None  # trained itself
    assert composed("experiment=mini", "model=xvlm", "seed=3").model.checkpoint is None
    assert not Path(config.model.checkpoint).exists()  # refused as any file that is not there
    for run in ("7-xvlm-shapes-s3", "8-xvlm-shapes-s4", "9-xvlm-shapes-x2-s3"):
        file = tmp_path / run / "checkpoints" / "best.ckpt"
        file.parent.mkdir(parents=True)
        file.touch()
    assert config.model.checkpoint == str(tmp_path / "7-xvlm-shapes-s3" / "checkpoints" / "best.ckpt")
