"""BLIP-2 against the original code and against transformers: states, vectors, scores, losses, gradients, texts."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fico import Correspondence, evaluate_scores
from fico.features.blip2 import BLIP2WordPieces, blip2_pixels
from fico.features.text.word_pieces import WordPieceModel
from fico.metrics.recall import recall_at_k
from fico.networks.blip2 import BLIP2
from fico.networks.checkpoint_io.blip2_config import FINAL_EPS
from fico.networks.checkpoint_io.resize import resize_position_table
from fico.types import PairBatch
from models.blip2 import BLIP2Module

GRADIENTS = {
    "grad_temp": "temp",
    "grad_vision_proj": "retrieval.vision_projection.weight",
    "grad_text_proj": "retrieval.text_projection.weight",
    "grad_itm_head": "retrieval.itm_head.weight",
    "grad_query_tokens": "retrieval.query_tokens",
    "grad_patch_proj_bias": "retrieval.vision_model.embeddings.patch_embedding.bias",
}


def _network(case, file="weights_lavis.safetensors", **changed):
    config = case.meta["config"]
    given = {
        "vocab_size": config["vocab_size"],
        "image_size": config["image_size"],
        "patch_size": config["patch_size"],
        "vision_dim": config["vision_width"],
        "vision_layers": config["vision_layers"],
        "vision_heads": config["vision_heads"],
        "vision_inner_dim": config["vision_ffn"],
        "dim": config["qformer_width"],
        "layers": config["qformer_layers"],
        "heads": config["qformer_heads"],
        "inner_dim": config["qformer_ffn"],
        "positions": config["max_position_embeddings"],
        "queries": config["num_query_tokens"],
        "embed_dim": config["embed_dim"],
        "cross_every": config["cross_attention_freq"],
    }
    return BLIP2(**given | changed).load_released(case.folder / file).eval()


def _inputs(case):
    return {name: torch.from_numpy(array) for name, array in case.inputs.items()}


def _all_logits(network, states, texts, lengths):
    images, captions = len(states), len(texts)
    every = states.repeat_interleave(captions, 0), texts.repeat(images, 1), lengths.repeat(images)
    return network.match_logits(*every).unflatten(0, (images, captions))


def _reranked(scores, logits, k):
    """The rule in one line each: the k of highest score get logit + score, the others -100; rows are queries."""
    top = scores.topk(k, dim=1).indices
    return torch.full_like(scores, -100).scatter(1, top, (logits + scores).gather(1, top))


def _check_scores(case, network, prefix, close):
    inputs = _inputs(case)
    texts, lengths = inputs["input_ids"], inputs["attention_mask"].sum(dim=1)
    states = network.image_states(inputs["pixel_values"])
    images, vectors = network.image_embeddings(states), network.encode_texts(texts, lengths)
    scores, logits = network.score(images, vectors), _all_logits(network, states, texts, lengths)
    k = case.meta["config"]["k_test"]
    case.check(f"{prefix}vision_hidden", states, **close)
    case.check(f"{prefix}image_embeds", images, **close)
    case.check(f"{prefix}text_embeds", vectors, **close)
    case.check(f"{prefix}similarity", scores, **close)
    case.check(f"{prefix}itm_logits", logits, **close)
    case.check(f"{prefix}rerank_i2t", _reranked(scores, logits[..., 1], k), **close)
    case.check(f"{prefix}rerank_t2i", _reranked(scores.T, logits[..., 1].T, k), **close)


def _check_recall(case):
    """Exact up to the k reranked; past it the order of the tied cells, and with it the original's value, is chance."""
    config, outputs, wanted = case.meta["config"], case.outputs, case.outputs["recall"]
    owner = Correspondence(np.arange(len(case.inputs["input_ids"])) // config["captions_per_image"])
    scores = {way: torch.from_numpy(outputs[f"rerank_{way}"]) for way in ("i2t", "t2i")}
    i2t = torch.arange(len(scores["i2t"]))[:, None] == torch.from_numpy(owner.caption_to_image)
    relevant = {"i2t": i2t, "t2i": i2t.T}
    found = evaluate_scores(i2t=outputs["rerank_i2t"], t2i=outputs["rerank_t2i"], correspondence=owner).metrics
    for want, (way, k) in zip(wanted, [(way, k) for way in ("i2t", "t2i") for k in (1, 5, 10)], strict=True):
        low, high = (
            100 * float(recall_at_k(scores[way], relevant[way], k, ties=ties).mean())
            for ties in ("pessimistic", "optimistic")
        )
        assert low - 1e-9 <= want <= high + 1e-9
        if k <= config["k_test"]:
            assert high - low < 1e-9
            assert 100 * found[f"instance/{way}/R@{k}"] == pytest.approx(want, abs=1e-9)
        elif scores[way].shape[1] > config["k_test"] + 1:  # the last of all items has a rank, scored or not
            assert f"instance/{way}/R@{k}" not in found, "past k there is no order"
    case.checked.add("recall")


def _training(case, inputs, ids):
    """The module's own loss on the training pairs, with the arg-max of its weights for the drawn negatives."""
    module = BLIP2Module(_network(case, captions=True), torch.optim.AdamW).eval()
    drawn = []

    def draw(weights):
        drawn.append(weights)
        return weights.argmax(dim=1)

    module.negatives.draw = draw
    rows = inputs["train_text_index"]
    batch = PairBatch(
        images=inputs["pixel_values"][inputs["train_image_index"]],
        image_ids=ids,
        texts=inputs["input_ids"][rows],
        text_ids=rows,
        lengths=inputs["attention_mask"][rows].sum(dim=1),
    )
    return module, module.losses(batch), drawn


def _check_losses(case, inputs, ids, suffix, close):
    module, terms, (t2i, i2t) = _training(case, inputs, ids)
    case.check(f"loss_itc{suffix}", terms["contrast"], **close)
    case.check(f"loss_itm{suffix}", terms["matching"], **close)
    case.check(f"neg_weights_t2i{suffix}", t2i, **close)
    case.check(f"neg_weights_i2t{suffix}", i2t, **close)
    case.check(f"neg_image_index{suffix}", t2i.argmax(dim=1))
    case.check(f"neg_text_index{suffix}", i2t.argmax(dim=1))
    return module, terms


def _check_training(case, close):
    inputs = _inputs(case)
    _check_losses(case, inputs, inputs["train_idx"], "_with_idx", close)
    module, terms = _check_losses(case, inputs, torch.arange(len(inputs["train_idx"])), "", close)
    case.check("loss_lm", terms["captioning"], **close)
    (terms["contrast"] + terms["matching"]).backward()
    parameters = dict(module.network.named_parameters())
    for name, parameter in GRADIENTS.items():
        case.check(name, parameters[parameter].grad, **case.meta["tolerance"]["gradients"])


def _check_pixels(case):
    pixels = blip2_pixels(size=case.meta["config"]["image_size"])
    image = Image.fromarray(case.inputs["raw_image_uint8"])
    got = pixels.normalise(pixels.square(image))
    case.check("raw_image_pixel_values", got, **case.meta["tolerance"]["raw_image_pixel_values"])


def test_blip2_gives_the_original_values(blip2_case, reference):
    case = reference(blip2_case)
    close, inputs = case.meta["tolerance"]["float_outputs"], _inputs(case)
    lengths = inputs["attention_mask"].sum(dim=1)
    with torch.no_grad():
        network = _network(case)
        _check_scores(case, network, "", close)
        states = network.image_states(inputs["pixel_values"])
        case.check("query_hidden", network.query_states(states), **close)
        case.check("text_cls_hidden", network.text_states(inputs["input_ids"], lengths)[:, 0], **close)
        if any(name.startswith("hf_") for name in case.outputs):  # the shipped case holds the original's numbers alone
            library = _network(case, "weights.safetensors")
            library.retrieval.vision_model.post_layernorm.eps = case.meta["layer_norm_eps"]["post_layernorm_library"]
            _check_scores(case, library, "hf_", case.meta["tolerance"]["hf_outputs"])
        _check_recall(case)
        side, patch = case.meta["config"]["image_size_interp"], case.meta["config"]["patch_size"]
        positions = network.retrieval.vision_model.embeddings.position_embedding
        case.check(
            "interp_pos_embed", resize_position_table(positions[0], (side // patch) ** 2 + 1, 1, "")[None], **close
        )
        other = _network(case, image_size=side).retrieval.vision_model.embeddings.position_embedding
        np.testing.assert_allclose(other, case.outputs["interp_pos_embed"], **close)  # resized while loading
    _check_training(case, close)
    _check_pixels(case)
    case.check_complete()


def test_blip2_norms_have_the_original_epsilons(blip2_case, reference):
    """A wrong one stays within the tolerances of the values."""
    case = reference(blip2_case)
    wanted, parts = case.meta["layer_norm_eps"], _network(case).retrieval
    assert parts.vision_model.post_layernorm.eps == wanted["ln_vision_original"] == FINAL_EPS
    assert parts.vision_model.encoder.layers[0].layer_norm1.eps == wanted["vision_blocks"]
    assert parts.qformer.layernorm.eps == wanted["qformer"]


def test_blip2_gathered_features_carry_no_gradient(blip2_case, reference):
    """With the gradient of both sides, the usual way, the gradients are far from the original's."""
    case = reference(blip2_case)
    module, terms, _ = _training(case, _inputs(case), torch.arange(len(case.inputs["train_idx"])))
    network, inputs = module.network, _inputs(case)
    rows = inputs["train_text_index"]
    images = network.encode_images(inputs["pixel_values"][inputs["train_image_index"]])
    texts = network.encode_texts(inputs["input_ids"][rows], inputs["attention_mask"][rows].sum(dim=1))
    logits = network.score(images, texts) / network.temp
    wrong = module.contrast(logits, logits.T, torch.eye(len(rows), dtype=torch.bool)) + terms["matching"]
    (gradient,) = torch.autograd.grad(wrong, network.retrieval.text_projection.weight)
    with pytest.raises(AssertionError, match="grad_text_proj"):
        case.check("grad_text_proj", gradient, **case.meta["tolerance"]["gradients"])


def test_blip2_reads_texts_as_the_original(blip2_case, tmp_path):
    given = json.loads((blip2_case.parent / "text.json").read_text())
    (tmp_path / "vocab.txt").write_text("\n".join(given["vocab"]) + "\n")
    reader = BLIP2WordPieces(vocab=tmp_path / "vocab.txt", max_length=given["max_length"])
    assert given["max_words"] == reader.max_words
    model = WordPieceModel.read(tmp_path / "vocab.txt")
    for case in given["cases"]:
        assert reader.cleaned(case["caption"]) == case["cleaned"]
        (pieces,) = model.encode([case["cleaned"]])
        ids = [model.ids["[CLS]"], *pieces[: given["max_length"] - 2], model.ids["[SEP]"]]
        length = sum(case["attention_mask"])
        assert ids == case["input_ids"][:length]
        assert not any(case["input_ids"][length:])
