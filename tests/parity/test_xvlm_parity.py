"""X-VLM against the authors' code: pixels, captions, states, scores, re-ranking, losses, gradients, bias tables."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fico.cli import convert
from fico.errors import DataError
from fico.features.image.pixels import Pixels
from fico.features.text.tokens import WordPieces
from fico.losses.image_text_matching import negative_weights
from fico.losses.same_image_contrast import same_image
from fico.networks.checkpoint_io.resize import resize_bias_table
from fico.networks.xvlm import XVLM
from fico.scoring.rerank import Rerank
from fico.types import EncodedBatch, PairBatch
from models.xvlm import XVLMModule

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
GRADIENTS = {
    "grad_temp": "temp",
    "grad_vision_proj": "vision_proj.weight",
    "grad_text_proj": "text_proj.weight",
    "grad_itm_head_3": "itm_head.3.weight",
    "grad_patch_proj_bias": "vision.embeddings.patch_embeddings.projection.bias",
}


def _network(case, weights="weights.safetensors"):
    config = case.meta["config"]
    fusion = config["text_layers"] - config["fusion_layer"]
    network = XVLM(
        vocab_size=config["vocab_size"],
        image_size=config["image_res"],
        patch_size=case.meta["patch_size"],
        window=config["window_size"],
        vision_dim=config["swin_embed_dim"],
        vision_depths=config["swin_depths"],
        vision_heads=config["swin_heads"],
        dim=config["text_width"],
        heads=config["text_heads"],
        layers=config["fusion_layer"],
        fusion_layers=fusion,
        inner_dim=config["text_ffn"],
        positions=config["max_position_embeddings"],
        embed_dim=config["embed_dim"],
    )
    return network.load_released(case.folder / weights).eval()


def _inputs(case):
    return {name: torch.from_numpy(array) for name, array in case.inputs.items()}


def _module(network):
    """Draws the likeliest negative, as the reference did."""
    module = XVLMModule(network, torch.optim.AdamW).eval()
    module.negatives.draw = lambda weights: weights.argmax(dim=1)
    return module


def _encoded(case, network):
    inputs = _inputs(case)
    lengths = inputs["attention_mask"].sum(dim=1)
    batch = PairBatch(
        images=inputs["pixel_values"],
        image_ids=torch.arange(len(inputs["pixel_values"])),
        texts=inputs["input_ids"],
        text_ids=torch.arange(len(lengths)),
        lengths=lengths,
    )
    return XVLMModule(network, torch.optim.AdamW).eval().encode(batch)


def _check_states(case, encoded):
    """Only real tokens of a text are defined."""
    close = case.meta["tolerance"]["float_outputs"]
    is_word = case.inputs["attention_mask"].astype(bool)
    width = encoded.text_states.shape[1]
    case.check("vision_hidden", encoded.image_states, **close)
    assert not is_word[:, width:].any()
    is_word = is_word[:, :width]
    wanted = case.outputs["text_hidden"][:, :width][is_word]
    np.testing.assert_allclose(encoded.text_states[torch.from_numpy(is_word)], wanted, **close)
    case.checked.add("text_hidden")
    case.check("image_embeds", encoded.images, **close)
    case.check("text_embeds", encoded.texts, **close)
    case.check("similarity", encoded.images @ encoded.texts.T, **close)
    return is_word


def _check_fusion(case, network, encoded, is_word):
    close = case.meta["tolerance"]["float_outputs"]
    fused, logits = [], []
    for row in range(len(encoded.images)):
        states = encoded.image_states[row : row + 1].expand(len(encoded.texts), -1, -1)
        fused.append(network.fuse(states, encoded.text_states, encoded.text_lengths))
        logits.append(network.match_logits(states, encoded.text_states, encoded.text_lengths))
    width = is_word.shape[1]
    wanted = case.outputs["fusion_hidden_image0"][:, :width][is_word]
    np.testing.assert_allclose(fused[0][torch.from_numpy(is_word)], wanted, **close)
    case.checked.add("fusion_hidden_image0")
    case.check("itm_logits", torch.stack(logits), **close)


def _check_reranking(case, network, encoded):
    config = case.meta["config"]
    found = Rerank(network, config["k_test"], progress=False)(encoded)
    for direction, matrix in (("i2t", found.i2t), ("t2i", found.t2i)):
        case.check(f"rerank_{direction}", matrix, **case.meta["tolerance"]["float_outputs"])
    owner = np.arange(len(encoded.texts)) // config["captions_per_image"]
    is_right = owner == np.arange(len(encoded.images))[:, None]
    ranks = _ranks(found.i2t, is_right), _ranks(found.t2i, is_right.T)
    case.check("recall", [100 * (rank < k).mean() for rank in ranks for k in (1, 5, 10)], rtol=1e-12)


def _ranks(scores, is_right):
    """Place of the first right item, from 0; of equal scores (the fill) the last comes first, as in the original."""
    order = np.argsort(scores, axis=1, kind="stable")[:, ::-1]
    return np.take_along_axis(is_right, order, axis=1).argmax(axis=1)


def _check_losses(case, suffix):
    close = case.meta["tolerance"]["float_outputs"]
    network, inputs = _network(case), _inputs(case)
    texts, images = inputs["train_text_index"], inputs["train_image_index"]
    batch = PairBatch(
        images=inputs["pixel_values"][images],
        image_ids=inputs["train_idx"] if suffix else torch.arange(len(images)),
        texts=inputs["input_ids"][texts],
        text_ids=texts,
        lengths=inputs["attention_mask"][texts].sum(dim=1),
    )
    module = _module(network)
    terms = module.losses(batch)
    case.check(f"loss_itc{suffix}", terms["contrast"], **close)
    case.check(f"loss_itm{suffix}", terms["matching"], **close)
    encoded = module.encode(batch)
    logits = (encoded.images @ encoded.texts.T / network.temp).detach()
    is_same = same_image(batch.image_ids, batch.image_ids)
    for direction, rows, chosen in (("t2i", logits.T, "image"), ("i2t", logits, "text")):
        weights = negative_weights(rows, is_same, floor=1e-5)
        case.check(f"neg_weights_{direction}{suffix}", weights, **close)
        case.check(f"neg_{chosen}_index{suffix}", weights.argmax(dim=1))
    if not suffix:
        (terms["contrast"] + terms["matching"]).backward()
        parameters = dict(network.named_parameters())
        for name, parameter in GRADIENTS.items():
            case.check(name, parameters[parameter].grad, **case.meta["tolerance"]["gradients"])


def test_xvlm_gives_the_original_values(xvlm_case, reference):
    case = reference(xvlm_case)
    network, tolerance = _network(case), case.meta["tolerance"]
    with torch.no_grad():
        encoded = _encoded(case, network)
        is_word = _check_states(case, encoded)
        _check_fusion(case, network, encoded, is_word)
        _check_reranking(case, network, encoded)
    for suffix in ("", "_with_idx"):
        _check_losses(case, suffix)
    wanted = case.outputs["rel_bias_table_dst"]
    resized = resize_bias_table(torch.from_numpy(case.inputs["rel_bias_table_src"]), len(wanted))
    case.check("rel_bias_table_dst", resized, **tolerance["rel_bias_table_dst"])
    pixels = Pixels(case.meta["config"]["image_res"], MEAN, STD)
    seen = pixels.normalise(pixels.square(Image.fromarray(case.inputs["raw_image_uint8"])))
    case.check("raw_image_pixel_values", seen, **tolerance["raw_image_pixel_values"])
    case.check_complete()


def test_xvlm_captions_become_the_original_ids(xvlm_case, tmp_path):
    given = json.loads((xvlm_case.parent / "text.json").read_text())
    (tmp_path / "vocab.txt").write_text("\n".join(given["vocab"]) + "\n", encoding="utf-8")
    reader = WordPieces(
        tmp_path, clean="xvlm", max_words=given["max_words"], max_length=given["max_length"], ends_with_sep=False
    )
    captions = [entry["caption"] for entry in given["cases"]]
    split = SimpleNamespace(name="test", captions=captions, caption_ids=[str(row) for row in range(len(captions))])
    found = reader.fitted(split).ids(split)
    for entry, ids in zip(given["cases"], found, strict=True):
        assert reader.cleaned(entry["caption"]) == entry["cleaned"]
        assert sum(entry["attention_mask"]) == len(ids)
        assert [*ids, *[0] * (given["max_length"] - len(ids))] == entry["input_ids"]


def test_xvlm_loads_a_pretraining_file_and_says_what_a_wrong_one_lacks(xvlm_case, reference, tmp_path):
    """`bert.` inside the names, two heads more, and bias tables of another window."""
    case = reference(xvlm_case)
    state = load_file(case.folder / "weights.safetensors")
    tables = [name for name in state if name.endswith("relative_position_bias_table")]
    small = {name: resize_bias_table(state[name], 25) for name in tables}
    heads = {"text_encoder.cls.predictions.bias": torch.zeros(3), "bbox_head.0.weight": torch.zeros(2, 2)}
    old = {name.replace("text_encoder.", "text_encoder.bert."): value for name, value in (state | small).items()}
    torch.save({"model": old | heads}, tmp_path / "pretrained.pth")
    case.folder = tmp_path
    loaded = _network(case, "pretrained.pth").state_dict()
    ours = XVLM.remap_state_dict(state, "")
    assert all(torch.equal(loaded[name], value) for name, value in ours.items() if "bias_table" not in name)
    del state["temp"]
    save_file(state | {"other.weight": torch.zeros(1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(DataError, match=r"temp is missing, other\.weight is unknown"):
        _network(case, "wrong.safetensors")


def test_xvlm_reference_tells_whether_padding_is_looked_at(xvlm_case, reference):
    case = reference(xvlm_case)
    encoded = _encoded(case, network := _network(case))
    close = case.meta["tolerance"]["float_outputs"]
    states = encoded.image_states[:1].expand(len(encoded.texts), -1, -1)
    with torch.no_grad():
        wrong = network.match_logits(states, encoded.text_states, None)
    assert not np.allclose(wrong, case.outputs["itm_logits"][0], **close)


def test_xvlm_scores_a_batch_of_one_image_as_it_scores_each_alone(xvlm_case, reference):
    case = reference(xvlm_case)
    network = _network(case)
    with torch.no_grad():
        encoded: EncodedBatch = _encoded(case, network)
        shared = encoded.image_states[:1].expand(len(encoded.texts), -1, -1)
        once = network.match(shared, encoded.text_states, encoded.text_lengths)
        each = network.match(shared.clone(), encoded.text_states, encoded.text_lengths)
    torch.testing.assert_close(once, each)


def test_xvlm_is_converted_to_a_file_that_loads(xvlm_case, reference, tmp_path, monkeypatch):
    case = reference(xvlm_case)
    config = case.meta["config"]
    depths = {"vision_depths": config["swin_depths"], "vision_heads": config["swin_heads"]}
    fusion = config["text_layers"] - config["fusion_layer"]
    form = depths | {"layers": config["fusion_layer"], "fusion_layers": fusion}
    monkeypatch.setitem(convert.FORMS, "xvlm", (form,))
    made = convert.convert(case.folder / "weights.safetensors", "xvlm", tmp_path / "ours.safetensors")
    wanted = _network(case).state_dict()
    case.folder = tmp_path
    found = _network(case, "ours.safetensors").state_dict()
    assert made.tensors == len(wanted)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
