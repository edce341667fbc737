"""BEiT-3 against the authors' code: states, embeddings, recall, loss, gradients, another image size, preprocessing."""

import json

import numpy as np
import torch
from PIL import Image

from fico import Correspondence, evaluate
from fico.datasets.base import RetrievalSplit
from fico.features.image.pixels import Pixels
from fico.features.text import tokens
from fico.features.text.tokens import SentencePieces
from fico.losses.image_text_contrast import ImageTextContrast
from fico.networks.beit3 import BEiT3
from fico.networks.blocks import multiway


def _network(case, size="img_size"):
    config = case.meta["config"]
    return BEiT3(
        vocab_size=config["vocab_size"],
        image_size=config[size],
        patch_size=config["patch_size"],
        dim=config["embed_dim"],
        layers=config["layers"],
        heads=config["heads"],
        inner_dim=config["embed_dim"] * config["mlp_ratio"],
    ).load_released(case.folder / "weights.safetensors")


def _check_embeddings(case, inputs, close):
    network = _network(case).eval()
    is_word = inputs["padding_mask"] == 0
    lengths = is_word.sum(dim=1)
    case.check("vision_hidden", network.image_states(inputs["pixel_values"]), **close)
    states = network.text_states(inputs["input_ids"], lengths)
    wanted = torch.from_numpy(case.outputs["text_hidden"])
    case.check("text_hidden", torch.where(is_word.unsqueeze(2), states, wanted), **close)  # real tokens alone
    images = network.encode_images(inputs["pixel_values"])
    texts = network.encode_texts(inputs["input_ids"], lengths)
    case.check("image_embeds", images, **close)
    case.check("text_embeds", texts, **close)
    torch.testing.assert_close(network.encode_texts(inputs["input_ids"]), texts)  # lengths from the end markers
    case.check("similarity", images @ texts.T, **close)
    result = evaluate(images, texts, Correspondence(case.inputs["text_image_id"]), similarity="inner", bootstrap=1)
    recalls = [result.metrics[f"instance/{way}/R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10)]
    case.check("recall", 100 * np.array(recalls), rtol=1e-6)  # theirs is the mean of float32
    other = _network(case, "img_size_interp").eval()
    table = other.beit3.encoder.embed_positions.A.weight
    case.check("interp_pos_embed", table, **close)
    case.check("interp_image_embeds", other.encode_images(inputs["pixel_values_interp"]), **close)


def _check_training(case, inputs, close):
    network = _network(case).eval()
    rows = inputs["train_text_index"]
    lengths = (inputs["padding_mask"][rows] == 0).sum(dim=1)
    images = network.encode_images(inputs["pixel_values"][inputs["train_image_index"]])
    texts = network.encode_texts(inputs["input_ids"][rows], lengths)
    scale = network.logit_scale
    case.check("logits_per_image", scale.exp() * images @ texts.T, **close)
    case.check("logits_per_text", scale.exp() * texts @ images.T, **close)
    loss = ImageTextContrast()(images, texts, scale)
    case.check("loss_itc", loss, **close)
    loss.backward()
    near = case.meta["tolerance"]["gradients"]
    case.check("grad_logit_scale", scale.grad, **near)
    case.check("grad_vision_head", network.vision_head.weight.grad, **near)
    case.check("grad_language_head", network.language_head.weight.grad, **near)
    case.check("grad_patch_proj_bias", network.beit3.vision_embed.proj.bias.grad, **near)


def _check_pixels(case):
    config = case.meta["config"]
    pixels = Pixels(size=config["img_size"], mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], resample="bicubic")
    square = pixels.square(Image.fromarray(case.inputs["raw_image_uint8"]))
    near = case.meta["tolerance"]["raw_image_pixel_values"]
    case.check("raw_image_pixel_values", pixels.normalise(square), **near)


def test_beit3_gives_the_original_values(beit3_case, reference):
    case = reference(beit3_case)
    close = case.meta["tolerance"]["float_outputs"]
    assert case.meta["layer_norm_eps"] == multiway.EPS
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    with torch.no_grad():
        _check_embeddings(case, inputs, close)
    _check_training(case, inputs, close)
    _check_pixels(case)
    case.check_complete()


def _split(captions):
    """Captions of one image."""
    ids = tuple(map(str, range(len(captions))))
    rows = Correspondence([0] * len(captions))
    return RetrievalSplit("text", "train", ("0",), (), ids, tuple(captions), (), rows, None, (), "")


def test_beit3_gives_the_original_ids(beit3_case, monkeypatch):
    monkeypatch.setattr(tokens.CaptionTokens, "most_unknown", np.inf)  # the model made for the test knows few words
    wanted = json.loads((beit3_case.parent / "text.json").read_text())
    reader = SentencePieces(beit3_case.parent / wanted["sentencepiece_model"], wanted["max_length"])
    captions = [case["caption"] for case in wanted["cases"]]
    got = reader.fitted(_split(captions)).ids(_split(captions))
    for case, ids in zip(wanted["cases"], got, strict=True):
        padding = [1] * (wanted["max_length"] - len(ids))
        assert len(ids) == case["num_tokens"]
        assert [*ids, *padding] == case["input_ids"]
        assert [0] * len(ids) + padding == case["padding_mask"]
