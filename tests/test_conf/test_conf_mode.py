"""Hydra composes the config of a run once, where nothing can set its mode."""

from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra
from omegaconf import OmegaConf

from fico.experiment.config.mode import may_set_mode, spare_composition

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(autouse=True)
def own_hydra(monkeypatch):
    monkeypatch.setattr(Hydra, "get_mode", Hydra.get_mode)


def test_no_file_sets_the_mode():
    for path in CONF.rglob("*.yaml"):
        assert "@package hydra" not in path.read_text(), path
        assert OmegaConf.select(OmegaConf.load(path), "hydra.mode") is None, path


@pytest.mark.parametrize(
    "argument",
    [
        "hydra.mode=MULTIRUN", "+hydra.mode=RUN", "++hydra.mode=MULTIRUN", "hydra={mode: MULTIRUN}", "~hydra.mode",
        "hydra.searchpath=[file:///x]", "+hydra/mine=x", "+mine@hydra=x", "--config-dir=/x", "-cd", "--config-name=x",
    ],
)  # fmt: skip
def test_arguments_that_may_set_it_leave_hydra_as_it_is(argument):
    assert may_set_mode(argument)
    before = Hydra.get_mode
    spare_composition(["model=ucch", argument])
    assert Hydra.get_mode is before


@pytest.mark.parametrize("arguments", [(), ("model=ucch", "hydra.run.dir=/x"), ("-m", "hydra.sweep.dir=/x", "~logger")])
def test_others_spare_the_composition(arguments):
    spare_composition(arguments)
    assert Hydra.get_mode(None, "config", list(arguments)) is None
