"""Trunks of the label models: released names are mapped, and the maps are those of a second library."""

import re

import numpy as np
import pytest
import torch

from fico.errors import DataError
from fico.networks.query2label.checkpoint import load_query2label
from fico.networks.query2label.network import Query2Label
from fico.networks.query2label.resnet import ResNetTrunk
from fico.networks.query2label.swin_cvt import CvtTrunk, SwinTrunk
from fico.networks.query2label.tresnet import TResNetTrunk

SWIN = {"dim": 32, "blocks": (1, 2, 1, 1), "heads": (1, 2, 4, 8), "window": 4}
CVT = {"dims": (64, 64, 128), "blocks": (1, 2, 3), "heads": (1, 1, 2)}
SWIN_BACK = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.", ""),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"attention\.relative_position_bias\.", "attn."),
    (r"attention\.o_proj", "attn.proj"),
)
CVT_BACK = (
    (r"^encoder\.stages\.(\d)\.", r"stage\1."),
    (r"embedding\.convolution_embeddings\.projection", "patch_embed.proj"),
    (r"embedding\.convolution_embeddings\.normalization", "patch_embed.norm"),
    (r"\.layers\.", ".blocks."),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"attention\.attention\.convolution_projection_(.)\w+\.convolution_projection", r"attn.conv_proj_\1"),
    (r"(attn\.conv_proj_.\.)convolution", r"\1conv"),
    (r"(attn\.conv_proj_.\.)normalization", r"\1bn"),
    (r"attention\.attention\.projection_(.)\w+", r"attn.proj_\1"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
)  # fmt: skip


def renamed(name, rules):
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def released_swin(trunk):
    state = {renamed(name.removeprefix("model."), SWIN_BACK): value for name, value in trunk.state_dict().items()}
    for name in [name for name in state if "attention.q_proj" in name]:
        parts = [state.pop(name.replace("q_proj", f"{side}_proj")) for side in "qkv"]
        state[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return state | {"layers.0.blocks.0.attn.relative_position_index": torch.zeros(16, 16)}


def released_cvt(trunk):
    return {renamed(name.removeprefix("model."), CVT_BACK): value for name, value in trunk.state_dict().items()}


def randomised(trunk, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for name, value in trunk.state_dict().items():
        if value.is_floating_point():
            positive = name.endswith("running_var")
            noise = torch.rand(value.shape, generator=generator) - (0 if positive else 0.5)
            value.copy_(noise + 0.5 if positive else noise)
    return trunk.eval()


TRUNKS = {
    "resnet": (lambda: ResNetTrunk((1, 2, 1, 1), (4, 4, 8, 8), stem=8), 64, lambda trunk: trunk.state_dict()),
    "tresnet": (lambda: TResNetTrunk((1, 2, 1, 1), 8), 64, lambda trunk: trunk.state_dict()),
    "tresnet_v2": (lambda: TResNetTrunk((1, 2, 1, 1), 8, True), 64, lambda trunk: trunk.state_dict()),
    "swin": (lambda: SwinTrunk(128, **SWIN), 128, released_swin),
    "cvt": (lambda: CvtTrunk(**CVT), 64, released_cvt),
}


def stored(path, trunk, size, released, prefix="module.", **sizes):
    torch.manual_seed(1)
    network = Query2Label(trunk, size, classes=5, dim=trunk.channels, inner_dim=12, **sizes).eval()
    rest = {name: value for name, value in network.state_dict().items() if not name.startswith("backbone.0.")}
    state = rest | {f"backbone.0.{name}": value for name, value in released(trunk).items()}
    torch.save({"epoch": 3, "best_mAP": 80.0, "state_dict": {prefix + name: v for name, v in state.items()}}, path)
    return network


@pytest.mark.parametrize("kind", TRUNKS)
def test_a_released_file_builds_its_own_network(kind, tmp_path):
    make, size, released = TRUNKS[kind]
    network = stored(tmp_path / "w.pkl", randomised(make()), size, released)
    loaded = load_query2label(tmp_path / "w.pkl")
    assert loaded.image_size == size
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))
        maps = loaded.backbone[0](images)
    assert maps.shape == (2, loaded.backbone[0].channels, *[size // loaded.backbone[0].stride] * 2)


def test_counters_of_a_plain_batch_norm_are_dropped_and_nothing_else(tmp_path):
    make, size, released = TRUNKS["resnet"]
    more = {"body.bn1.num_batches_tracked": torch.tensor(7)}
    stored(tmp_path / "w.pkl", randomised(make()), size, lambda trunk: released(trunk) | more)
    load_query2label(tmp_path / "w.pkl")
    stored(
        tmp_path / "w.pkl", randomised(make()), size, lambda trunk: released(trunk) | {"body.fc.weight": torch.ones(1)}
    )
    with pytest.raises(DataError, match=r"body\.fc\.weight is unknown"):
        load_query2label(tmp_path / "w.pkl")


def test_files_of_other_models_and_wrong_heads_are_named(tmp_path):
    path = tmp_path / "w.pkl"
    torch.save({"state_dict": {"a": torch.ones(1)}}, path)
    with pytest.raises(DataError, match=r"lacks 'query_embed\.weight'"):
        load_query2label(path)
    make, size, released = TRUNKS["resnet"]
    stored(path, randomised(make()), size, released)
    with pytest.raises(DataError, match="3 heads do not divide"):
        load_query2label(path, heads=3)
    stored(path, randomised(make()), size, lambda trunk: {"stem.weight": torch.ones(1)})
    with pytest.raises(DataError, match="no known backbone"):
        load_query2label(path)


def test_a_negative_scale_of_tresnet_counts_by_its_size():
    trunk = randomised(TResNetTrunk((1, 1, 1, 1), 8))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = trunk(images)
        for name, value in trunk.state_dict().items():
            if name.endswith(".1.weight"):
                value.neg_()
        assert torch.equal(trunk(images), before)


def test_a_map_without_projection_must_have_the_width():
    with pytest.raises(ValueError, match="32 channels, got 16"):
        Query2Label(ResNetTrunk((1, 1, 1, 1), (4, 4, 8, 8), stem=8), 64, dim=16)


@pytest.mark.parametrize("is_version_2", [False, True])
def test_timm_gives_the_same_tresnet(is_version_2):
    tresnet = pytest.importorskip("timm.models.tresnet")
    trunk = randomised(TResNetTrunk((1, 2, 2, 1), 8, is_version_2))
    other = tresnet.TResNet(layers=[1, 2, 2, 1], width_factor=0.125, v2=is_version_2, num_classes=0).eval()
    state = {name.removeprefix("body."): value for name, value in trunk.state_dict().items()}
    other.load_state_dict(tresnet.checkpoint_filter_fn(state, other))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        np.testing.assert_allclose(trunk(images), other.forward_features(images), rtol=1e-5, atol=1e-5)


def test_timm_gives_the_same_swin():
    swin = pytest.importorskip("timm.models.swin_transformer")
    trunk = randomised(SwinTrunk(128, **SWIN))
    sizes = {"embed_dim": SWIN["dim"], "depths": SWIN["blocks"], "num_heads": SWIN["heads"]}
    other = swin.SwinTransformer(img_size=128, window_size=SWIN["window"], num_classes=0, **sizes).eval()
    other.load_state_dict(swin.checkpoint_filter_fn(released_swin(trunk), other))
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        np.testing.assert_allclose(
            trunk(images), other.forward_features(images).permute(0, 3, 1, 2), rtol=1e-4, atol=1e-4
        )
