"""IMRAM against the authors' code, in float32 and float64: embeddings, steps, ranks, losses, gradients."""

import pytest
import torch

from fico.losses.triplet import TripletHinge
from fico.networks.imram import IMRAM

PRECISIONS = {"f32": torch.float32, "f64": torch.float64}
NO_GLOBAL_TEXT = "the mean of the GRU's final states enters no score; it is not computed"


def _network(case, variant, **changed):
    config = case.meta["config"]
    how = {
        "mode": variant.removesuffix("_IMRAM"),
        "steps": config["iteration_step"],
        "normalise_memory": not config["no_IMRAM_norm"],
    }
    return IMRAM(
        image_dim=config["img_dim"],
        vocab_size=config["vocab_size"],
        embed_dim=config["embed_size"],
        word_dim=config["word_dim"],
        lambda_softmax=config["lambda_softmax"],
        **(how | changed),
    ).load_released(case.folder / "weights.safetensors")


def _check_steps(case, name, network, images, texts, lengths, tolerance, transposed=False):
    for direction in ("t2i", "i2t"):
        for step, scores in enumerate(network.step_scores(images, texts, lengths, direction)):
            case.check(f"{name}/{direction}/{step}", scores.T if transposed else scores, **tolerance)


@torch.no_grad()
def _check_evaluation(case, inputs, variant):
    close, sims_close = case.tolerance("f32"), case.tolerance("sims")
    network = _network(case, variant).eval()
    images = network.encode_images(inputs["images"])
    texts = network.encode_texts(inputs["captions"], inputs["lengths"])
    case.check("img_emb", images, **close)
    case.check("img_fc", images.mean(dim=1), **close)
    case.check("cap_emb", texts, **close)
    _check_steps(case, "step_sims", network, images, texts, inputs["lengths"], sims_close)
    sims = network.score(images, texts, inputs["lengths"])
    case.check(f"sims/{variant}", sims, **sims_close)
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
        case.check("f64/batch_img_fc", images.mean(dim=1), **values)
        case.check("f64/batch_cap_emb", texts, **values)
        _check_steps(case, "f64/batch_step_scores", network, images, texts, lengths, values, transposed=True)
    scores = network.score(images, texts, lengths)
    case.check(f"{prefix}batch_scores/{variant}", scores.T, **values)
    for kind in ("max", "sum"):
        loss = TripletHinge(case.meta["config"]["margin"], hardest=kind == "max")(scores)
        case.check(f"{prefix}loss/{variant}/{kind}", loss, **values)
        grads = _gradients(case, network, loss, variant)
        by_parameter = torch.stack([grad.double().norm() for grad in grads.values()])
        case.check(f"{prefix}gradnorm/{variant}/{kind}", by_parameter, **norms)
        case.check(f"{prefix}gradtotal/{variant}/{kind}", by_parameter.norm(), **norms)
        for name, grad in grads.items():
            if f"{prefix}grad/{variant}/{kind}/{name}" in case.outputs:
                case.check(f"{prefix}grad/{variant}/{kind}/{name}", grad, **values)


def _gradients(case, network, loss, variant):
    """By the authors' names, in their order; zero for the maps that are frozen as nothing uses them."""
    parameters = dict(network.named_parameters())
    ours = {name: name.removeprefix("module.").replace("fc_local", "fc") for name in case.meta["param_order"]}
    assert set(ours.values()) == set(parameters)
    frozen = {name for name in ours if not parameters[ours[name]].requires_grad}
    assert frozen == set(case.meta["unused_params"][variant])
    trained = [name for name in ours if name not in frozen]
    grads = torch.autograd.grad(loss, [parameters[ours[name]] for name in trained], retain_graph=True)
    found = dict(zip(trained, grads, strict=True))
    return {name: found.get(name, torch.zeros_like(parameters[ours[name]])) for name in ours}


def test_imram_gives_the_original_values(imram_case, reference):
    case = reference(imram_case)
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    for variant in case.meta["variants"]:
        _check_evaluation(case, inputs, variant)
        for precision in PRECISIONS:
            _check_training(case, inputs, variant, precision)
    case.check_complete(**{"cap_ht": NO_GLOBAL_TEXT, "f64/batch_cap_ht": NO_GLOBAL_TEXT})


def test_imram_reference_tells_the_memory_normalisation_apart(imram_case, reference):
    case = reference(imram_case)
    config = case.meta["config"]
    if config["iteration_step"] == 1:
        return  # the memory is not used
    variant = next(iter(case.meta["variants"]))
    network = _network(case, variant, normalise_memory=config["no_IMRAM_norm"])
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    images = network.encode_images(inputs["images"])
    texts = network.encode_texts(inputs["captions"], inputs["lengths"])
    sims = network.score(images, texts, inputs["lengths"])
    with pytest.raises(AssertionError, match="sims"):
        case.check(f"sims/{variant}", sims, **case.tolerance("sims"))
