"""The sweeps behind the paper's tables: their models and budgets. Their jobs are tested with the models."""

import pytest
from omegaconf import OmegaConf

from fico.errors import UsageError
from fico.experiment.config.bench import is_bench
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_pairing
from fico.experiment.config.resolvers import dataset_name
from tests.configs import CONF, composed
from tests.test_conf.test_conf_grids import jobs

TABLES = ("table2", "table3", "table4", "table5", "table6", "figure3")
MODELS = {"blip2", "blip2_nf", "beit3", "xvlm", "xvlm_nf", "imram", "vsrn", "scan", "adv", "ucch", "dadh"}
OURS = {"clip", "mith", "clip_hash", "cca"}  # none of the paper's, whose costs stand beside


def sweep(table):
    """What the experiment sweeps over."""
    return OmegaConf.load(CONF / "experiment" / f"{table}.yaml").hydra.sweeper.params


@pytest.mark.parametrize("table", ["table2", "table5", "figure3"])
def test_the_tables_over_all_models_hold_all_of_them(table):
    listed = set(sweep(table).model.split(","))
    assert listed == (MODELS | OURS if table == "table5" else MODELS)


def test_table_5_has_adv_at_the_second_code_length_of_the_paper_on_any_data():
    sweeper = composed("experiment=table5", with_hydra=True).hydra.sweeper
    (found,) = jobs(["experiment=table5", "dataset=shapes"], sweeper.params, sweeper.further)
    assert found[-1] == ["model=adv", "model.bits=2048", "experiment=table5", "dataset=shapes"]
    config = composed(*found[-1])
    check_pairing(config)
    check_config(config)
    assert (config.model.bits, dataset_name(config)) == (2048, "shapes")


def test_table_5_is_on_the_papers_data_by_default():
    assert dataset_name(composed("experiment=table5")) == "flickr30k"


@pytest.mark.parametrize("table", ["table5", "table6"])
def test_one_key_is_the_budget_of_both_tables(table):
    config = composed(f"experiment={table}", "bench.budget=30m")
    check_config(config)
    assert [value.budget for value in config.callbacks.values() if "budget" in value] == ["30m"]
    assert not is_bench(config)
    with pytest.raises(UsageError, match=r"unknown key bench\.budge"):
        check_config(composed(f"experiment={table}", "+bench.budge=30m"))


def test_the_command_line_beats_the_sweep():
    config = composed("experiment=table2", "model=ucch", "dataset=shapes", "metric=both")
    assert (config.model.name, list(config.metric.tasks)) == ("ucch", ["instance", "category"])
