"""Every model: the data sets, features and tables that it goes with, its sizes and the weights that it takes."""

import re

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from fico.errors import UsageError
from fico.experiment.config import start
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_pairing, input_nodes
from fico.experiment.config.resolvers import dataset_name
from fico.experiment.config.start import wrong_start
from tests.configs import CONF, composed, composed_whole, options, trained
from tests.test_conf.test_conf_tables import MODELS, TABLES, sweep


@pytest.fixture(scope="module", params=trained())
def model(request):
    """Its name; all tests of one model follow each other."""
    return request.param


def opened(*overrides):
    """The config under the overrides, in which a test may replace nodes."""
    config = composed(*overrides)
    OmegaConf.set_readonly(config, False)
    OmegaConf.set_struct(config, False)
    return config


@pytest.fixture
def config(model):
    return opened(f"model={model}")


@pytest.fixture(scope="module")
def of_dataset():
    """The node of each data set; which it is changes no other node, as the others refer to its keys."""
    roots = {dataset: () if dataset == "shapes" else ("dataset.root=somewhere",) for dataset in options("dataset")}
    return {dataset: composed(f"dataset={dataset}", *roots[dataset]).dataset for dataset in roots}


def test_every_dataset_fits_the_default_model(of_dataset):
    config = opened()
    for node in of_dataset.values():
        config.dataset = node
        check_config(config)


@pytest.mark.parametrize("dataset", options("dataset"))
def test_a_config_lists_the_features_that_its_data_set_says_it_has(dataset, of_dataset):
    config = of_dataset[dataset]
    made = get_class(config._target_)
    listed = [kind for kinds in (config.get("inputs") or {}).values() for kind in kinds]
    assert listed == list(getattr(made, "feature_origins", ()))
    assert bool(listed) == hasattr(made, "features"), "the two names of FeatureDataset"


@pytest.mark.parametrize("path", sorted((CONF / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_model_refers_to_two_keys_of_a_dataset(path):
    assert set(re.findall(r"\$\{dataset\.(\w+)", path.read_text())) <= {"model_size", "rerank_k"}


def test_every_model_fits_every_dataset(model, config, of_dataset):
    """Those that give the model the same values are one case."""
    seen = set()
    for dataset, node in of_dataset.items():
        config.dataset = node
        assert config.name.endswith(f"-{dataset_name(config)}-s0"), dataset
        if (given := (config.model.size, OmegaConf.select(config, "model.rerank.k"))) not in seen:
            check_config(config)
            seen.add(given)


def test_features_alone_feed_it_exactly_where_they_are_all_it_needs(model, config, of_dataset):
    config.dataset = of_dataset["wikipedia"]
    if OmegaConf.to_container(config.model.inputs, resolve=True) == {"image": "global", "text": "doc2vec"}:
        check_pairing(config)
        return
    with pytest.raises(
        UsageError, match=f"model={model} cannot run on this data set, .*there are only global"
    ) as caught:
        check_pairing(config)
    assert "\n" not in str(caught.value)


def test_it_may_be_fed_from_images_and_words(model):
    check_pairing(composed_whole(f"model={model}"))


@pytest.mark.parametrize("features", options("features"))
def test_features_fit_it_or_say_that_they_have_no_effect(model, config, features):
    if (CONF / "features_model" / f"{features}_{model}.yaml").exists():
        config = composed_whole(f"model={model}", f"features={features}")
    else:  # they change no other node
        config.features = composed_whole(f"features={features}").features
    nodes = input_nodes(config)
    replaced = {side for side in nodes if nodes[side] != config.model.inputs[side]}
    if features == "default":
        assert not replaced, "every model as its own file says"
        assert "default" not in config.name
        return
    if replaced:
        check_pairing(config)
        check_config(config)
        return
    with pytest.raises(UsageError, match=f"features={features} has no effect on model={model}"):
        check_pairing(config)


@pytest.mark.parametrize("path", sorted((CONF / "features_model").glob("*.yaml")), ids=lambda path: path.stem)
def test_settings_for_features_belong_to_a_model_and_its_features(path):
    features, model = next(
        (features, path.stem.removeprefix(f"{features}_"))
        for features in sorted(options("features"), key=len, reverse=True)
        if path.stem.startswith(f"{features}_")
    )
    config = composed_whole(f"model={model}", f"features={features}")
    given = OmegaConf.load(path)
    given.pop("defaults", None)  # another file's settings, which are tested under its name
    assert OmegaConf.merge(config.model, given) == config.model, "what the file says is what a run takes"


@pytest.mark.parametrize("size", ["tiny", "paper"])
def test_every_size_resolves(config, size):
    config.model.size = size
    assert OmegaConf.to_container(config.model, resolve=True)["size"] == size


def test_every_network_is_built_without_values_and_takes_its_own_names(config, tmp_path):
    config.model.size = "tiny"
    network = start._shape_only(config.model.module.network)
    names = network.state_dict()
    assert {value.device.type for value in names.values()} <= {"meta"}
    torch.save({"state_dict": {f"network.{name}": torch.zeros(1) for name in names}}, tmp_path / "own.ckpt")
    config.model.checkpoint = str(tmp_path / "own.ckpt")
    assert not list(wrong_start(config))


def test_only_hashing_models_have_bits():
    hashing = {model for model in options("model") if "bits" in composed_whole(f"model={model}").model}
    assert {"ucch"} <= hashing
    assert "vsrn" not in hashing


def test_table_6_holds_exactly_the_models_of_the_paper_with_attention_at_query_time():
    listed = sweep("table6").model.split(",")
    attending = {model for model in MODELS if composed_whole(f"model={model}").model.query_time_attention}
    assert set(listed) == {model for model in attending if not model.endswith("_nf")}  # no fusion


def jobs(table):
    """As many jobs as hold every value of every key of the sweep; that all pairs fit has a test of its own."""
    choices = {key: str(values).split(",") for key, values in sweep(table).items()}
    count = max(map(len, choices.values()))
    return [{key: values[place % len(values)] for key, values in choices.items()} for place in range(count)]


@pytest.mark.parametrize("table", TABLES)
def test_every_job_of_a_table_fits_what_it_configures(table, of_dataset):
    """The nodes of a job's model and data set are those outside of the table, as Hydra's last one shows."""
    config = opened(f"experiment={table}")
    check_config(config)
    for job in jobs(table):
        config.model = composed_whole(f"model={job['model']}").model
        if "dataset" in job:
            config.dataset = of_dataset[job["dataset"]]
        if "model.bits" in job:
            config.model.bits = int(job["model.bits"])
        check_pairing(config)
        check_config(config)
    words = [f"{key}={value}" for key, value in job.items()]
    root = ["dataset.root=somewhere"] * ("dataset" in job)
    assert config == composed(f"experiment={table}", *words, *root)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_names_its_seed_and_runs_no_index(table):
    config = composed_whole(f"experiment={table}")
    assert config.seed == 0
    assert "seed:" in (CONF / "experiment" / f"{table}.yaml").read_text()
    assert not config.get("index")


def test_costs_need_no_training_and_quality_does():
    stages = {table: list(composed_whole(f"experiment={table}").stage) for table in TABLES}
    assert {table for table in TABLES if stages[table] == ["test"]} == {"table5", "table6"}
