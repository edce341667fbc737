"""Loading keeps a network ready for fine-tuning, and refuses weights of a diverged training."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

from fico.errors import DataError
from fico.networks.adv import ADV
from fico.networks.beit3 import BEiT3
from fico.networks.blip2 import BLIP2
from fico.networks.cca import CCA
from fico.networks.checkpoint_io.load import load_strictly
from fico.networks.dadh import DADH
from fico.networks.dual_encoder import DualEncoder
from fico.networks.imram import IMRAM
from fico.networks.mith import MITH
from fico.networks.scan import SCAN
from fico.networks.ucch import UCCH
from fico.networks.vsrn import VSRN
from fico.networks.xvlm import XVLM

WORDS = {"image_dim": 9, "vocab_size": 30, "embed_dim": 8, "word_dim": 5}
SMALL = {"dim": 8, "heads": 2, "inner_dim": 16}
NETWORKS = {
    "adv": lambda: ADV(12, 16, region_dim=16, region_heads=4, region_inner_dim=24, word_dim=8, max_words=9, channels=6),
    "beit3": lambda: BEiT3(20, image_size=16, patch_size=8, layers=2, text_rows=10, drop_path=0.1, **SMALL),
    "blip2": lambda: BLIP2(
        vocab_size=30,
        image_size=16,
        patch_size=8,
        vision_dim=8,
        vision_layers=2,
        vision_heads=2,
        vision_inner_dim=16,
        layers=2,
        positions=16,
        queries=3,
        embed_dim=6,
        **SMALL,
    ),
    "cca": lambda: CCA(4, 3, dims=2),
    "dadh": lambda: DADH(12, 7, bits=16, hidden_dim=16, dropout=0.5),
    "imram": lambda: IMRAM(**WORDS),
    "mith": lambda: MITH(**WORDS, bits=16, layers=1, heads=2),
    "scan": lambda: SCAN(**WORDS),
    "ucch": lambda: UCCH(12, 7, bits=16, hidden_dim=10),
    "vsrn": lambda: VSRN(**WORDS),
    "xvlm": lambda: XVLM(
        30,
        image_size=16,
        patch_size=4,
        window=2,
        vision_dim=8,
        vision_depths=(1, 1),
        vision_heads=(2, 2),
        layers=1,
        fusion_layers=1,
        positions=16,
        embed_dim=6,
        **SMALL,
    ),
}


def _saved(network, path):
    tensors = {name: value.clone().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, path / "weights.safetensors")
    return path / "weights.safetensors"


def _clip_folder(path):
    side = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    side["attention_dropout"] = 0.5
    config = CLIPConfig(
        text_config=side | {"vocab_size": 50, "eos_token_id": 49},
        vision_config=side | {"image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    model = CLIPModel(config)
    model.save_pretrained(path)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_in_train_mode_after_loading(tmp_path, name):
    network = NETWORKS[name]().load_released(_saved(NETWORKS[name](), tmp_path))
    assert all(module.training for module in network.modules())


def test_a_dual_encoder_is_in_train_mode_after_loading_so_that_dropout_is_active(tmp_path):
    _clip_folder(tmp_path)
    network = DualEncoder(tmp_path, vocab_size=50).load_released(tmp_path)
    assert all(module.training for module in network.modules())
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(network.encode_images(images), network.encode_images(images))


def test_a_dual_encoder_in_eval_mode_stays_in_it(tmp_path):
    _clip_folder(tmp_path)
    network = DualEncoder(tmp_path, vocab_size=50).eval().load_released(tmp_path)
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value):
    network = nn.Linear(3, 2)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["bias"][1] = value
    with pytest.raises(DataError, match=r"some\.file holds NaN or infinite weights: bias; its training diverged"):
        load_strictly(network, state, "some.file")
    assert network.bias.isfinite().all()


def test_a_network_refuses_weights_with_nan(tmp_path):
    trained = NETWORKS["scan"]()
    nn.init.constant_(trained.img_enc.fc.bias, float("nan"))
    with pytest.raises(DataError, match=r"NaN or infinite weights: img_enc\.fc\.bias"):
        NETWORKS["scan"]().load_released(_saved(trained, tmp_path))


def test_a_model_folder_with_nan_is_refused(tmp_path):
    model = _clip_folder(tmp_path)
    nn.init.constant_(model.text_projection.weight, float("nan"))
    model.save_pretrained(tmp_path)
    with pytest.raises(DataError, match=r"NaN or infinite weights: text_projection\.weight"):
        DualEncoder(tmp_path, vocab_size=50).load_released(tmp_path)
