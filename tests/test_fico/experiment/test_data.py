"""What a run needs of its data is checked before features are made and anything is trained."""

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from fico.errors import UsageError
from fico.experiment import data

SIZES = {"train": 50, "val": 4, "test": 6}


def config(tasks, stage=("fit", "test"), **metric):
    metric = {"tasks": list(tasks), **metric}
    return OmegaConf.create(
        {"dataset": {"split": "test"}, "metric": metric, "stage": list(stage), "model": {"inputs": {}}}
    )


@pytest.fixture
def unlabelled(monkeypatch):
    """A data set whose splits named here have no labels; features must not be asked for."""

    class NoFeatures(Exception):
        pass

    def make(*names):
        def split(name):
            labels = None if name in names else "some"
            return SimpleNamespace(dataset="mine", labels=labels, image_ids=range(SIZES[name]))

        def model_inputs(*_, **__):
            raise NoFeatures

        monkeypatch.setattr(data, "build", lambda _: SimpleNamespace(split=split))
        monkeypatch.setattr(data, "model_inputs", model_inputs)
        return NoFeatures

    return make


@pytest.mark.parametrize(("missing", "named"), [(("train", "val", "test"), "test"), (("val",), "val")])
def test_the_category_task_alone_needs_labels_before_anything_is_trained(unlabelled, missing, named):
    unlabelled(*missing)
    with pytest.raises(UsageError, match=f"metric=category needs labels, but split {named} of mine has none"):
        data.build_data(config(["category"]))


@pytest.mark.parametrize(
    ("missing", "tasks", "stage"),
    [
        (("val", "test"), ["instance", "category"], ["fit", "test"]),
        (("val", "test"), ["instance"], ["fit", "test"]),
        (("train",), ["category"], ["fit", "test"]),
        (("val",), ["category"], ["test"]),
    ],
)
def test_labels_that_nothing_reads_may_be_missing(unlabelled, missing, tasks, stage):
    with pytest.raises(unlabelled(*missing)):  # past the check
        data.build_data(config(tasks, stage))


@pytest.mark.parametrize(("stage", "folds", "named"), [(("fit", "test"), 5, "val"), (("test",), 7, "test")])
def test_more_folds_than_an_evaluated_split_has_images_are_refused_before_anything_is_trained(
    unlabelled, stage, folds, named
):
    fits = unlabelled()
    with pytest.raises(UsageError, match=f"metric.folds={folds} is more than split {named} has images, {SIZES[named]}"):
        data.build_data(config(["instance"], stage, folds=folds))
    with pytest.raises(fits):
        data.build_data(config(["instance"], stage, folds=folds - 1))
