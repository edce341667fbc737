"""The group ``features``: what takes the place of a model's own inputs, and where nothing would."""

from pathlib import Path

import pytest
from omegaconf import DictConfig

from fico.errors import UsageError
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_pairing, input_nodes
from tests.configs import composed

ROOT = Path(__file__).resolve().parents[2]


def test_lite0_replaces_what_each_model_names():
    for model, kind, is_vector in (("cca", "global", True), ("ucch", "global", True), ("dadh", "global", True)):
        nodes = input_nodes(composed(f"model={model}", "features=lite0"))
        assert nodes["image"].kind == kind
        assert ("TfIdf" in nodes["text"]["_target_"]) == is_vector
    for model in ("scan", "imram", "vsrn", "adv"):
        nodes = input_nodes(composed(f"model={model}", "features=lite0"))
        assert (nodes["image"].kind, nodes["text"]) == ("regions", "words")


def test_the_embeddings_of_a_source_are_read_in_the_place_of_features():
    nodes = input_nodes(composed("model=hash_head", "model.source=somewhere"))
    assert {side: (node.run, node.side) for side, node in nodes.items()} == {
        side: ("somewhere", side) for side in ("image", "text")
    }
    with pytest.raises(UsageError, match="features=lite0 has no effect beside model.source"):
        check_pairing(composed("model=hash_head", "model.source=somewhere", "features=lite0"))


def test_the_features_are_in_the_name_of_the_run():
    assert composed("model=cca", "features=lite0").name == "cca-lite0-shapes-s0"
    assert composed("model=ucch", "features=lite0").name == "ucch-64-lite0-shapes-s0"


def test_a_text_network_that_may_have_seen_the_test_is_marked_in_results():
    from fico.experiment.outputs import _features_label

    assert _features_label(composed("model=cca", "features=lite0")) == "lite0"
    assert _features_label(composed("model=cca", "features=lite0_minilm")) == "lite0_minilm, exposed"
    assert _features_label(composed("model=cca")) == ""


def test_settings_for_the_features_give_way_to_the_command_line():
    assert composed("model=cca").model.epochs == 1
    assert composed("model=cca", "features=lite0").model.epochs > 1
    assert composed("model=cca", "features=lite0", "model.epochs=2").model.epochs == 2


def test_the_grid_of_cca_has_one_epoch_for_each_combination():
    model = composed("model=cca", "features=lite0").model
    assert isinstance(model.module.grid, DictConfig)
    count = 1
    for values in model.module.grid.values():
        count *= len(values)
    assert model.epochs == count


def test_a_data_set_of_features_alone_is_refused():
    config = composed("model=cca", "features=lite0", "dataset=wikipedia", "dataset.root=somewhere")
    with pytest.raises(UsageError, match="needs pixels"):
        check_pairing(config)


def test_a_bench_has_no_features():
    with pytest.raises(UsageError, match="a bench runs without features"):
        check_config(composed("experiment=table7", "features=lite0"))


def test_without_the_extra_one_sentence_names_it_before_anything_is_read(tmp_path, warm_python):
    """An empty folder has no split file, and that is not what is told of."""
    code = (
        "import sys, runpy; import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *more: None if name.startswith('efficientnet') else find(name, *more);"
        "sys.argv = ['run.py', *sys.argv[1:]]; runpy.run_path('run.py', run_name='__main__')"
    )
    (tmp_path / "empty").mkdir()
    options = ("model=cca", "features=lite0", "dataset=karpathy", f"dataset.root={tmp_path / 'empty'}")
    (tmp_path / "without.py").write_text(code)
    done = warm_python(tmp_path / "without.py", *options, f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 2, done.stderr[-2000:]
    assert len([line for line in done.stderr.strip().splitlines() if " INFO " not in line]) == 1
    assert 'pip install "fico[photographs]"' in done.stderr
