"""The sweeps behind the paper's tables: every job of each composes and fits what it configures."""

import pytest

from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_pairing
from tests.configs import CONF, composed

TABLES = ("table2", "table3", "table4", "table5", "table6", "figure3")
MODELS = {"blip2", "blip2_nf", "beit3", "xvlm", "xvlm_nf", "imram", "vsrn", "scan", "adv", "ucch", "dadh"}
OURS = {"clip", "mith", "clip_hash", "cca"}  # none of the paper's, whose costs stand beside


def jobs(table):
    """As many jobs as hold every value of every key of the sweep; that all pairs fit is tested beside this."""
    params = composed(f"experiment={table}", with_hydra=True).hydra.sweeper.params
    choices = {key: str(values).split(",") for key, values in params.items()}
    count = max(map(len, choices.values()))
    return [
        (f"experiment={table}", *(f"{key}={values[place % len(values)]}" for key, values in choices.items()))
        for place in range(count)
    ]


@pytest.mark.parametrize("table", TABLES)
def test_every_job_composes_and_fits_what_it_configures(table):
    for job in jobs(table):
        config = composed(*job)
        check_pairing(config)
        check_config(config)


@pytest.mark.parametrize("table", ["table2", "table5", "figure3"])
def test_the_tables_over_all_models_hold_all_of_them(table):
    listed = set(composed(f"experiment={table}", with_hydra=True).hydra.sweeper.params.model.split(","))
    assert listed == (MODELS | OURS if table == "table5" else MODELS)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_table_6_holds_exactly_the_models_with_attention_at_query_time(model):
    listed = composed("experiment=table6", with_hydra=True).hydra.sweeper.params.model.split(",")
    attends = composed(f"model={model}").model.query_time_attention and not model.endswith("_nf")  # no fusion
    assert (model in listed) == attends


@pytest.mark.parametrize("table", TABLES)
def test_each_names_its_seed_and_runs_no_index(table):
    config = composed(f"experiment={table}")
    assert config.seed == 0
    assert "seed:" in (CONF / "experiment" / f"{table}.yaml").read_text()
    assert not config.get("index")


def test_costs_need_no_training_and_quality_does():
    stages = {table: list(composed(f"experiment={table}").stage) for table in TABLES}
    assert {table for table in TABLES if stages[table] == ["test"]} == {"table5", "table6"}


def test_the_command_line_beats_the_sweep():
    config = composed("experiment=table2", "model=ucch", "dataset=shapes", "metric=both")
    assert (config.model.name, list(config.metric.tasks)) == ("ucch", ["instance", "category"])
