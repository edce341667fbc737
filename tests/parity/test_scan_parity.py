"""SCAN against the authors' code, in float32 and float64: embeddings, attention, ranks, losses, gradients."""

import numpy as np
import pytest
import torch

from fico.losses.triplet import TripletHinge
from fico.networks.blocks.attention import attention_weights, dot_products
from fico.networks.scan import SCAN

PRECISIONS = {"f32": torch.float32, "f64": torch.float64}


def _network(case, variant):
    config, how = case.meta["config"], case.meta["variants"][variant]
    return SCAN(
        image_dim=config["img_dim"],
        vocab_size=config["vocab_size"],
        embed_dim=config["embed_size"],
        word_dim=config["word_dim"],
        direction=how["cross_attn"],
        aggregation=how["agg_func"],
        lambda_softmax=how["lambda_softmax"],
        lambda_lse=how["lambda_lse"],
        norm=how["raw_feature_norm"],
        bidirectional=config["bi_gru"],
        num_layers=config.get("num_layers", 1),
        weight_norm=config["precomp_enc_type"] == "weight_norm",
    ).load_released(case.folder / "weights.safetensors")


def _check_recall_protocol(case):
    sims, images = case.inputs["sims"], case.meta["fold_images"]
    folds = {"i2t": [], "t2i": []}
    case.check_ranks(sims, "all")
    for fold in range(case.meta["n_folds"]):
        part = sims[fold * images : (fold + 1) * images, 5 * fold * images : 5 * (fold + 1) * images]
        for direction, summary in case.check_ranks(part, f"fold{fold}").items():
            folds[direction].append(summary)
    for direction, metrics in folds.items():
        case.check(f"fold_mean_{direction}", np.mean(metrics, axis=0), rtol=1e-12)


@torch.no_grad()
def _check_evaluation(case, inputs, variant):
    network = _network(case, variant).eval()
    images = network.encode_images(inputs["images"])
    texts = network.encode_texts(inputs["captions"], inputs["lengths"])
    case.check("img_emb", images, **case.tolerance("f32"))
    case.check("cap_emb", texts, **case.tolerance("f32"))
    sims = network.score(images.double(), texts.double(), inputs["lengths"])
    case.check(f"sims/{variant}", sims, **case.tolerance("sims"))
    case.check_ranks(sims.numpy(), variant)


def _check_training(case, inputs, variant, precision):
    prefix, dtype = ("f64/", torch.float64) if precision == "f64" else ("", torch.float32)
    values = case.tolerance(precision)
    norms = values if precision == "f64" else case.gradient_norm_tolerance()
    network, rows = _network(case, variant).to(dtype), inputs["batch_ids"]
    lengths = inputs["lengths"][rows]
    images = network.encode_images(inputs["images"][rows // 5].to(dtype))
    texts = network.encode_texts(inputs["captions"][rows, : int(lengths.max())], lengths)
    if precision == "f64":
        case.check("f64/batch_img_emb", images, **values)
        case.check("f64/batch_cap_emb", texts, **values)
    scores = network.score(images, texts, lengths)
    case.check(f"{prefix}batch_scores/{variant}", scores, **values)
    names = case.meta["param_order"]
    parameters = dict(network.named_parameters())
    assert set(parameters) == set(names)
    for kind in ("max", "sum"):
        loss = TripletHinge(case.meta["config"]["margin"], hardest=kind == "max")(scores)
        grads = torch.autograd.grad(loss, [parameters[name] for name in names], retain_graph=True)
        by_parameter = torch.stack([grad.double().norm() for grad in grads])
        case.check(f"{prefix}loss/{variant}/{kind}", loss, **values)
        case.check(f"{prefix}gradnorm/{variant}/{kind}", by_parameter, **norms)
        case.check(f"{prefix}gradtotal/{variant}/{kind}", by_parameter.norm(), **norms)
        for name, grad in zip(names, grads, strict=True):
            if f"{prefix}grad/{variant}/{kind}/{name}" in case.outputs:
                case.check(f"{prefix}grad/{variant}/{kind}/{name}", grad, **values)


@torch.no_grad()
def _check_attention(case, inputs, variant):
    """Weights of caption 1 over every image, and what they attend to."""
    network = _network(case, variant).double()
    images = network.encode_images(inputs["images"].double())
    caption = network.encode_texts(inputs["captions"], inputs["lengths"])[1:2, : int(inputs["lengths"][1])]
    queries, context = (caption, images) if network.direction == "t2i" else (images, caption)
    weights = attention_weights(dot_products(queries, context), network.lambda_softmax, network.norm)
    attended = weights @ context.unsqueeze(1)
    pairs = (lambda of: of[:, 0]) if network.direction == "t2i" else (lambda of: of[0])
    tight = case.tolerance("f64")
    case.check(f"f64/attn_cap1/{variant}", pairs(weights).transpose(1, 2), **tight)
    case.check(f"f64/attended_cap1/{variant}", pairs(attended), **tight)


def test_scan_gives_the_original_values(scan_case, reference):
    case = reference(scan_case)
    if "variants" not in case.meta:
        _check_recall_protocol(case)
    else:
        inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
        for variant in case.meta["variants"]:
            _check_evaluation(case, inputs, variant)
            for precision in PRECISIONS:
                _check_training(case, inputs, variant, precision)
        for variant in case.meta["attn_variants"]:
            _check_attention(case, inputs, variant)
    case.check_complete()


def test_scan_reference_tells_the_axes_apart(scan_case, reference):
    """Normalising over the context instead of the query axis, the most frequent mistake, is far outside."""
    case = reference(scan_case)
    for variant in case.meta.get("attn_variants", ()):
        network = _network(case, variant).double()
        if not network.norm.endswith("l2norm"):
            continue
        images = torch.from_numpy(case.inputs["images"]).double()
        length = int(case.inputs["lengths"][1])
        with torch.no_grad():
            regions = network.encode_images(images)
            words = network.encode_texts(
                torch.from_numpy(case.inputs["captions"][1:2, :length]), torch.tensor([length])
            )
            queries, context = (words, regions) if network.direction == "t2i" else (regions, words)
            raw = dot_products(queries, context)
            wrong = attention_weights(raw.transpose(2, 3), network.lambda_softmax, network.norm).transpose(2, 3)
        got = (wrong[:, 0] if network.direction == "t2i" else wrong[0]).transpose(1, 2)
        with pytest.raises(AssertionError, match="attn_cap1"):
            case.check(f"f64/attn_cap1/{variant}", got, **case.tolerance("f32"))
