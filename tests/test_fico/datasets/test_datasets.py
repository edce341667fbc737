"""A reader is found by the name of its file; nothing lists the data sets."""

from pathlib import Path

import pytest
import yaml

from fico.datasets import dataset_names, find_reader, image_datasets, load_dataset
from fico.datasets.base import FeatureDataset, RetrievalDataset, SplitReader
from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.recipes import all_recipes
from fico.errors import DataError

CONF = Path(__file__).resolve().parents[3] / "conf" / "dataset"


def test_every_config_names_a_reader_that_is_found():
    readers = [find_reader(name) for name in dataset_names()]
    homes = {f"{reader.__module__}.{reader.__qualname__}" for reader in readers}
    for path in CONF.glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["_target_"] in homes, path.name


def test_every_recipe_belongs_to_a_reader_and_a_config():
    assert set(all_recipes()) <= set(image_datasets())
    assert set(all_recipes()) <= {path.stem for path in CONF.glob("*.yaml")}


def test_files_that_hold_no_reader_are_no_data_sets():
    for name in ("base", "words", "reader", "split_json", "recipe", "__init__"):
        assert find_reader(name) is None
        with pytest.raises(DataError, match=f"there is no folder {name}"):
            load_dataset(name)


def test_a_folder_or_the_name_karpathy_opens_karpathys_form(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    for dataset in (load_dataset(tmp_path), load_dataset("karpathy", root=tmp_path)):
        assert type(dataset) is Karpathy
        assert isinstance(dataset, SplitReader)


@pytest.mark.parametrize("name", dataset_names())
def test_readers_keep_the_protocol(name):
    reader = find_reader(name)
    assert callable(reader.split)
    assert hasattr(reader, "feature_origins") == (name not in image_datasets())
    assert {"root", "name"} <= set(RetrievalDataset.__annotations__)
    if hasattr(reader, "feature_origins"):
        assert callable(reader.features)
        assert "feature_origins" in FeatureDataset.__annotations__
