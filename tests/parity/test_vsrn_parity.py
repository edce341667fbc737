"""VSRN against the authors' code, in float32 and float64: embeddings, ranks, losses, gradients, buffers."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fico.losses.captioning import CaptionLikelihood, caption_targets
from fico.losses.triplet import TripletHinge
from fico.networks.blocks.captioner import Captioner
from fico.networks.checkpoint_io.load import load_strictly
from fico.networks.vsrn import VSRN

PRECISIONS = {"f32": torch.float32, "f64": torch.float64}


def _network(case, weights="weights"):
    config = case.meta["config"]
    is_flickr30k = config["data_name"] == "f30k_precomp"
    return VSRN(
        image_dim=config["img_dim"],
        vocab_size=config["vocab_size"],
        embed_dim=config["embed_size"],
        word_dim=config["word_dim"],
        normalise_regions=not is_flickr30k,
        final_batch_norm=is_flickr30k,
    ).load_released(case.folder / f"{weights}.safetensors")


def _captioner(case):
    config, path = case.meta["config"], case.folder / "weights.safetensors"
    captioner = Captioner(
        config["vocab_size"], config["dim_vid"], config["dim_hidden"], config["dim_word"], dropout=0.0
    )
    prefix = "caption_model."
    state = {k.removeprefix(prefix): v for k, v in load_file(path).items() if k.startswith(prefix)}
    load_strictly(captioner, state, path)
    return captioner


def _check_embeddings(case, inputs):
    tight, close = case.tolerance("f64"), case.tolerance("f32")
    members = {"a": _network(case).eval(), "b": _network(case, "weights_b").eval()}
    sims = {}
    for variant, network in members.items():
        image = network.encode_images(inputs["images"])
        text = network.encode_texts(inputs["captions"], inputs["lengths"])
        case.check(f"img_emb/{variant}", image, **close)
        case.check(f"cap_emb/{variant}", text, **close)
        sims[variant] = image.double() @ text.double().T
    sims["ensemble"] = (sims["a"] + sims["b"]) / 2  # the rule of `fico ensemble`
    for variant, matrix in sims.items():
        case.check(f"sims/{variant}", matrix, **case.tolerance("sims"))
        case.check_ranks(matrix.numpy(), variant)
    wide = _network(case).double().eval()
    image, regions = wide(inputs["images"].double())
    case.check("f64/img_emb", image, **tight)
    case.check("f64/region_emb", regions, **tight)
    case.check("f64/cap_emb", wide.encode_texts(inputs["captions"], inputs["lengths"]), **tight)


def _check_training(case, inputs, precision):
    prefix, dtype = ("f64/", torch.float64) if precision == "f64" else ("", torch.float32)
    values, norms = (case.tolerances(precision) * 2)[:2]
    network, captioner = _network(case).to(dtype).train(), _captioner(case).to(dtype).train()
    rows, max_len = inputs["batch_ids"], case.meta["config"]["max_len"]
    image, regions = network(inputs["images"][rows // 5].to(dtype))
    text = network.encode_texts(inputs["captions"][rows], inputs["lengths"][rows])
    case.check(f"{prefix}train/img_emb", image, **values)
    case.check(f"{prefix}train/cap_emb", text, **values)
    case.check(f"{prefix}train/region_emb", regions, **values)
    for name, buffer in network.img_enc.named_buffers():
        case.check(f"{prefix}bn_after/{name}", buffer, **values)
    scores = image @ text.T
    case.check(f"{prefix}batch_scores", scores, **values)
    labels, mask = caption_targets(inputs["captions"][rows], inputs["lengths"][rows], max_len)
    said = captioner(regions, labels[:, : max_len - 1])
    if precision == "f64":
        case.check("f64/caption_logprobs_row0", said[0], **values)
    margin = case.meta["config"]["margin"]
    losses = {
        "retrieval_max": TripletHinge(margin, hardest=True)(scores),
        "retrieval_sum": TripletHinge(margin, hardest=False)(scores),
        "caption": CaptionLikelihood()(said, labels[:, 1:max_len], mask[:, 1:max_len].to(dtype)),
    }
    losses["total"] = losses["retrieval_max"] + losses["caption"]
    parameters = dict(network.named_parameters())
    parameters |= {f"caption_model.{name}": p for name, p in captioner.named_parameters()}
    order = case.meta["param_order"]
    assert set(order) == set(parameters)
    for name, loss in losses.items():
        case.check(f"{prefix}loss/{name}", loss, **values)
        grads = _gradients(loss, [parameters[key] for key in order])
        by_parameter = torch.stack([grad.double().norm() for grad in grads])
        case.check(f"{prefix}gradnorm/{name}", by_parameter, **norms)
        case.check(f"{prefix}gradtotal/{name}", by_parameter.norm(), **norms)
        if name == "total":
            listed = [n for key, n in zip(order, by_parameter, strict=True) if key.startswith("caption_model.")]
            twice = torch.cat([by_parameter, torch.stack(listed)]).norm()
            case.check(f"{prefix}gradtotal_captioner_counted_twice", twice, **norms)
            if precision == "f64":
                for key, grad in zip(order, grads, strict=True):
                    case.check(f"f64/grad/total/{key}", grad, **norms)


def _gradients(loss, parameters):
    grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]


def test_vsrn_gives_the_original_values(vsrn_case, reference):
    case = reference(vsrn_case)
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    with torch.no_grad():
        _check_embeddings(case, inputs)
    for precision in PRECISIONS:
        _check_training(case, inputs, precision)
    case.check_complete()


def test_vsrn_caption_targets_follow_the_original(vsrn_case, reference):
    case = reference(vsrn_case)
    texts, lengths = (torch.from_numpy(case.inputs[name]) for name in ("captions", "lengths"))
    labels, mask = caption_targets(texts, lengths, case.meta["config"]["max_len"])
    np.testing.assert_array_equal(labels, case.inputs["caption_labels"])
    np.testing.assert_array_equal(mask, case.inputs["caption_masks"])


def test_vsrn_reference_tells_the_branches_apart(vsrn_case, reference):
    """Skipping the first normalisation, or adding it, is far outside the tolerance."""
    case = reference(vsrn_case)
    network = _network(case).eval()
    network.img_enc.normalise_regions = not network.img_enc.normalise_regions
    images = torch.from_numpy(case.inputs["images"])
    with torch.no_grad(), pytest.raises(AssertionError, match="img_emb/a"):
        case.check("img_emb/a", network.encode_images(images), **case.tolerance("f32"))
