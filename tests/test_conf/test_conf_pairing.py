"""A model that needs what a data set cannot have is refused before anything is imported."""

from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from fico.errors import UsageError
from fico.experiment.config.pairing import check_data, check_pairing
from tests.configs import composed, options, trained

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("model", trained())
def test_features_alone_feed_a_model_exactly_where_they_are_all_it_needs(model):
    config = composed(f"model={model}", "dataset=wikipedia", "dataset.root=somewhere")
    if OmegaConf.to_container(config.model.inputs, resolve=True) == {"image": "global", "text": "doc2vec"}:
        check_pairing(config)
        return
    with pytest.raises(
        UsageError, match=f"model={model} cannot run on this data set, .*there are only global"
    ) as caught:
        check_pairing(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", trained())
def test_any_model_may_be_fed_from_images_and_words(model):
    check_pairing(composed(f"model={model}", "dataset=shapes"))


@pytest.mark.parametrize("root", ["16", "true", "[a,b]"])
@pytest.mark.parametrize("dataset", ["shapes", "coco", "pairs"])
def test_a_root_that_is_no_text_is_left_to_the_check_of_values(dataset, root):
    check_data(composed(f"dataset={dataset}", f"dataset.root={root}"))


@pytest.mark.parametrize("dataset", options("dataset"))
def test_a_config_lists_the_features_that_its_data_set_says_it_has(dataset):
    config = composed(f"dataset={dataset}", "dataset.root=somewhere").dataset
    made = get_class(config._target_)
    listed = [kind for kinds in (config.get("inputs") or {}).values() for kind in kinds]
    assert listed == list(getattr(made, "feature_origins", ()))
    assert bool(listed) == hasattr(made, "features"), "the two names of FeatureDataset"


def test_the_command_line_ends_with_one_sentence_and_exit_code_2(tmp_path, warm_python):
    done = warm_python("run.py", "model=scan", "dataset=wikipedia", "dataset.root=x", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "regions (image), words (text)" in done.stderr
