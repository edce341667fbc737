"""``dataset.protocol``: what does not go with it is refused at once, and the data of a run have it."""

import pytest

from fico.errors import UsageError
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_data
from fico.experiment.data import build_data
from tests.configs import composed


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["dataset.protocol=hash"], "dataset.protocol is 'hash', but must be one of karpathy, hashing"),
        (["dataset.protocol_queries=10"], "dataset.protocol_queries belongs to the hashing protocol"),
        (["dataset.protocol=hashing", "dataset.protocol_train=0"], "dataset.protocol_train is 0"),
        (["dataset.protocol=hashing", "metric=instance"], "has the category task alone"),
        (["model=xvlm", "dataset.protocol=hashing"], "ranks a whole database, but xvlm orders the first k items"),
        (["dataset.protocol=hashing", "dataset.copies=2"], "dataset.copies repeats a split"),
        (["dataset.protocol=hashing", "metric.folds=5"], "neither metric.positives nor metric.folds"),
    ],
)
def test_wrong_keys_are_one_sentence(overrides, wanted):
    with pytest.raises(UsageError, match=wanted):
        check_config(composed("model=ucch", "logger=none", *overrides))


@pytest.mark.parametrize("key", ["queries", "train", "validation"])
def test_more_drawn_images_than_there_are_scenes_are_refused_before_anything_is_made(tmp_path, key):
    overrides = ["dataset.protocol=hashing", "dataset.images=60", "dataset.subset=50", f"dataset.root={tmp_path}"]
    with pytest.raises(UsageError, match=f"protocol_{key} is 91, but there are 90 images to draw from"):
        check_data(composed("model=ucch", "logger=none", *overrides, f"dataset.protocol_{key}=91"))
    check_data(composed("model=ucch", "logger=none", *overrides, f"dataset.protocol_{key}=90"))


def test_the_run_has_queries_and_a_database_and_says_so_in_its_name(tmp_path):
    overrides = ["dataset.protocol=hashing", "dataset.protocol_queries=10", "dataset.images=20", "dataset.subset=15"]
    config = composed("model=ucch", "logger=none", f"dataset.root={tmp_path}", *overrides)
    assert config.name == "ucch-64-shapes-first15-hashing-s0"
    data = build_data(config)
    test = data.splits["test"]
    assert test.dataset == "shapes(first 15)(hashing)"
    assert len(test.image_ids) - len(test.correspondence.database) == 10
    assert len(data.inputs.splits["test"].images) == len(test.image_ids)
    assert not {*data.splits["val"].image_ids} & {*data.splits["train"].image_ids}
    assert "protocol" not in composed("model=ucch").name


def test_karpathy_is_the_own_splits():
    check_config(composed("model=ucch", "logger=none", "dataset.protocol=karpathy"))
