"""VGG-19 features: the preparation, and everything around the network, with a stand-in in its place."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fico.cli.data.dataset_option import DatasetOption
from fico.cli.features import make_vgg19
from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.features.image import vgg19
from fico.features.precomputed import read_precomputed

SIZES = [(300, 260), (90, 140), (224, 224), (227, 500)]


def image(size, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def network(images):
    """Each image's mean colour in 4096 columns, some below zero."""
    return images.mean(dim=(2, 3)).repeat(1, 1366)[:, : vgg19.DIM]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    dataset = Shapes(40, root=tmp_path_factory.mktemp("scenes"), progress=False)
    dataset.split("train")
    return dataset


def make(scenes, tmp_path, **changes):
    messages = []
    link = tmp_path / "data"
    if not link.exists():
        link.mkdir()
        for path in scenes.root.iterdir():
            (link / path.name).symlink_to(path)
    option = DatasetOption("karpathy", link, splits="test,val")
    given = {"layer": "fc7_pre_relu", "resize": "squash224", "weights": None, "device": "cpu", "overwrite": False}
    path = make_vgg19(option, report=messages.append, network=network, **(given | changes))
    return path, messages


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resize", ["squash224", "crop224", "caffe224"])
def test_every_size_becomes_a_square_of_the_same_mean(size, resize):
    made = vgg19.preprocess(Image.new("RGB", size, (200, 100, 50)), resize)
    assert made.shape == (3, 224, 224)
    assert made.dtype == np.float32
    if resize == "caffe224":
        wanted = np.array([50, 100, 200]) - vgg19.CAFFE_MEAN
    else:
        wanted = (np.array([200, 100, 50]) / 255 - vgg19.MEAN) / vgg19.STD
    np.testing.assert_allclose(made.mean(axis=(1, 2)), wanted, rtol=1e-4, atol=1e-3)


def test_the_middle_is_cut_out_of_the_shorter_side():
    """The left half is dark: in the middle square of a wide image the border stays in the middle."""
    wide = Image.new("RGB", (512, 256))
    wide.paste((255, 255, 255), (256, 0, 512, 256))
    row = vgg19.preprocess(wide, "crop224")[0, 100]
    np.testing.assert_array_equal(row < 0, np.arange(224) < 112)
    assert (vgg19.preprocess(image((300, 260)), "crop224") != vgg19.preprocess(image((300, 260)), "squash224")).any()


def test_features_lie_beside_the_images_row_by_row(scenes, tmp_path):
    path, messages = make(scenes, tmp_path)
    split = scenes.split("test")
    found = read_precomputed(path.parents[1], "vgg19", {"test": split.image_ids}, axes=2)
    for row in (0, len(split.image_ids) - 1):
        picture = vgg19.preprocess(Image.open(split.image_paths[row]).convert("RGB"))
        np.testing.assert_allclose(found.rows["test"][row], network(torch.from_numpy(picture)[None])[0], atol=1e-6)
    assert "fc7_pre_relu (squash224" in found.origin
    count = len(split.image_ids) + len(scenes.split("val").image_ids)
    assert f"{count} x 4,096 float32" in messages[0]
    assert make(scenes, tmp_path)[1] == [f"{path} is there already: {count} rows, {found.origin}"]


def test_behind_the_relu_are_the_positive_parts(scenes, tmp_path):
    before = np.load(make(scenes, tmp_path)[0])
    after = np.load(make(scenes, tmp_path, layer="fc7_post_relu", overwrite=True)[0])
    assert (before < 0).any()
    np.testing.assert_array_equal(after, before.clip(min=0))


def test_other_options_do_not_mix(scenes, tmp_path):
    make(scenes, tmp_path)
    with pytest.raises(UsageError, match="squash224.*--overwrite"):
        make(scenes, tmp_path, resize="crop224")
    with pytest.raises(UsageError, match="choose one of squash224, crop224, caffe224"):
        make(scenes, tmp_path, resize="squash")


def test_values_that_are_no_numbers_are_told_with_the_image(scenes):
    splits = {"test": scenes.split("test")}
    steps, _ = vgg19.vgg19_steps(
        splits, lambda images: network(images) * torch.inf, layer="fc7_pre_relu", resize="squash224"
    )
    with pytest.raises(DataError, match=splits["test"].image_ids[0]):
        next(steps(0))


def test_without_torchvision_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(UsageError, match=r"torchvision .*extra gpu"):
        vgg19.vgg19()


def test_torchvisions_network_is_cut_behind_the_second_linear_layer(tmp_path):
    models = pytest.importorskip("torchvision.models")
    whole = models.vgg19(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "vgg.pth")
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        made = vgg19.vgg19(tmp_path / "vgg.pth")(images)
        assert torch.equal(whole.classifier[5:](whole.classifier[4](made.clone())), whole(images))
    assert made.shape == (1, 4096)
    assert (made < 0).any()
