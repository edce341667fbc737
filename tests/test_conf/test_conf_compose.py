"""Every option composes with every partner, and every key fits what it configures."""

from importlib.util import find_spec

import pytest
from omegaconf import OmegaConf

from fico.errors import UsageError
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_sweep
from tests.configs import CONF, composed, composed_whole, options
from tests.test_conf.test_conf_tables import TABLES

GROUPS = ("metric", "index", "trainer", "logger", "callbacks")


@pytest.mark.parametrize("place", range(max(len(options(group)) for group in GROUPS)))
def test_every_other_option_composes(place):
    """One option of each group at a time, until each has had its turn."""
    chosen = {group: options(group)[place % len(options(group))] for group in GROUPS}
    absent = {chosen["logger"]} & {"tensorboard", "trackio"}  # of extras that the tests may do without
    if absent := {package for package in absent if find_spec(package) is None}:
        chosen["logger"] = "none"
    check_config(composed(*(f"{group}={option}" for group, option in chosen.items())))
    for package in absent:
        pytest.skip(f"{package} is not installed; the other options were composed")


@pytest.mark.parametrize(
    "preset",
    [f"{group}={option}" for group in ("debug", "experiment") for option in options(group) if option not in TABLES],
)
def test_every_preset_composes(preset):
    """Those behind the tables are composed with their jobs."""
    check_config(composed(preset))


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=cca", "features=lite0", "model.epochs=2", "stage=[test]"),
        ("debug=fast", "dataset.images=40", "+index.x.factory=BFoo", "~callbacks.lines", "++seed=1"),
        ("hydra.run.dir=x", "index=[flat]", "metric.recall_at=[1,3]", "index.flat=null"),
    ],
)
def test_the_tests_set_values_in_a_composed_config_as_hydra_does(overrides):
    assert composed(*overrides) == composed_whole(*overrides)


def test_an_experiment_beats_the_primary_file():
    assert composed("debug=fast").dataset.images == 100


def test_released_weights_are_tested_as_they_are():
    assert composed("model.weights=file").stage == ["test"]
    assert composed().stage == ["fit", "test"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+model.foo=1", "unknown key model.foo"),
        ("+foo=1", "unknown key foo"),
        ("+model.module.network.embd_dim=1", "did you mean embed_dim"),
        ("+dataset.imags=1", "did you mean images"),
        ("model.bits=0", "positive multiple of 8"),
        ("model.bits=12", "positive multiple of 8"),
        ("model.size=huge", "model.size is 'huge'"),
        ("metric.ties=random", "expected, optimistic, pessimistic, index"),
        ("metric.ap=map", "hits, min_k_r, r"),
        ("dataset.split=dev", "train, val, test"),
        ("dataset.captions_per_image=0", "all or a positive whole number"),
        ("stage=[train]", "fit, test"),
        ("stage=test", "stage=[test]"),
        ("stage=fit", "stage=[fit]"),
        ("stage=[test]", "stage=[test] without weights would test an untrained network; set model.checkpoint=FILE"),
        ("+trainer.fast_dev_run=true", "take debug=fast"),
        ("+trainer.fast_dev_run=1", "take debug=fast"),
        ("+trainer.overfit_batches=1", "take debug=overfit"),
        ("+trainer.limit_val_batches=2", "leaves out a part of a split"),
        ("+trainer.limit_test_batches=0", "leaves out a part of a split"),
        ("+trainer.limit_train_batches=0", "trains nothing"),
        ("+trainer.max_steps=0", "trains nothing"),
        ("model.epochs=0", "model.epochs is 0"),
        ("+model.bits=32", "model.bits is set, but vsrn returns floats"),
        ("+model.lr=1", "unknown key model.lr; set model.module.optimizer.lr"),
        ("+trainer.max_epochs=1", "set model.epochs"),
        ("metric.bootstrap=-1", "metric.bootstrap"),
        ("seed=-1", "at least 0"),
        ("seed=abc", "seed is 'abc'"),
        ("dataset.seed=a", "dataset.seed is 'a'"),
        ("name=[1]", "name is [1], but must be text"),
        ("dataset.root=16", "dataset.root is 16, but must be a path; a file or folder of that name is given as "),
        ("dataset.root=[a]", "dataset.root is ['a'], but must be a path"),
        ("model.weights=1.5", "model.weights is 1.5, but must be a path"),
        ("+model.source=3", "model.source is 3, but must be a path"),
        ("dataset=karpathy", "dataset.root is not set"),
        ("model.module._target_=fico.nowhere.Net", "cannot be imported"),
        ("~model.module.loss", "model.module.loss is missing"),
    ],
)
def test_a_wrong_value_is_named(override, message):
    model = "model=ucch" if override.startswith("model.bits") else "model=vsrn"
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        check_config(composed(model, override))


@pytest.mark.parametrize(
    "override",
    [
        "+trainer.limit_val_batches=0", "+trainer.limit_val_batches=1.0", "+trainer.limit_train_batches=1",
        "+trainer.overfit_batches=0", "+trainer.fast_dev_run=false", "+trainer.max_steps=-1", "metric.bootstrap=0",
        "logger.mode=disabled",
    ],
)  # fmt: skip
def test_what_leaves_something_to_train_and_whole_splits_to_evaluate_passes(override):
    check_config(composed("model=vsrn", override))


def test_only_an_experiment_without_quality_tests_an_untrained_network():
    files = {name: OmegaConf.load(CONF / "experiment" / f"{name}.yaml") for name in options("experiment")}
    untrained = {name for name, content in files.items() if content.get("untrained")}
    assert untrained == {"table5", "table6"}
    with pytest.raises(UsageError, match="would test an untrained network"):
        check_config(composed("experiment=table2", "stage=[test]"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["experiment=table2"], "experiment=table2 is a sweep over model, dataset; add -m, as python run.py -m"),
        (["experiment=table4", "model=ucch", "model.bits=16"], "is a sweep over dataset; add -m"),
        (["experiment=table2", "model=ucch", "dataset=shapes"], None),
        (["model=ucch"], None),
    ],
)
def test_a_sweep_without_m_is_refused_unless_every_key_is_set(overrides, message):
    experiment = [each for each in overrides if each.startswith("experiment=")]
    params = composed(*experiment, with_hydra=True).hydra.sweeper.get("params")
    if message is None:
        check_sweep(params, overrides)
    else:
        with pytest.raises(UsageError, match=message):
            check_sweep(params, overrides)


def test_all_faults_are_told_at_once():
    with pytest.raises(UsageError, match=r"unknown key model.foo.*metric\.ties"):
        check_config(composed("+model.foo=1", "metric.ties=x"))


@pytest.mark.parametrize("given", ["weights=/nowhere/model.pth", "weights=gone.safetensors", "checkpoint=best.ckpt"])
def test_a_file_that_is_not_there_is_told_before_the_data_are_read(given):
    key, _, path = given.partition("=")
    with pytest.raises(UsageError, match=rf"model\.{key} is {path}, but there is no such file"):
        check_config(composed("model=xvlm", f"model.{given}"))


def test_a_hub_name_and_a_file_that_is_there_pass(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"PK\x03\x04")  # as every file of torch.save begins
    for weights in ("owner/name", str(tmp_path / "model.pth"), str(tmp_path)):
        check_config(composed("model=clip", f"model.weights={weights}"))
