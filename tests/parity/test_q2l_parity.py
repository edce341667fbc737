"""Query2Label, its labels, loss and mAP, and the preparation of images for VGG-19, against reference values."""

import numpy as np
import torch
from PIL import Image

from fico.features.image.pixels import Pixels
from fico.features.image.vgg19 import preprocess
from fico.labels.q2l import to_labels
from fico.metrics.voc_average_precision import voc_average_precision
from fico.networks.query2label.checkpoint import load_query2label
from fico.networks.query2label.network import SinePositionEncoding

NOT_TRAINED = "the loss of the label model's training, which is not part of this bench"
KEPT = {"squash224": 2, "crop224": 2, "caffe224": 4}  # every second or fourth row and column is in the file


def _check_pixels(case):
    how = case.meta["config"]["normalisation"]
    pixels = Pixels(case.meta["config"]["image_size"], how["mean"], how["std"], resample="bilinear")
    raw = [case.inputs[f"raw_image_{row}_uint8"] for row in range(len(case.inputs["pixel_values"]))]
    got = np.stack([pixels.normalise(pixels.square(Image.fromarray(image))) for image in raw])
    # Pillow here as in the reference: the bound for other resizes would let a wrong filter pass
    np.testing.assert_allclose(got, case.inputs["pixel_values"], rtol=0, atol=1e-6)


def _hooked(network, images):
    """Outputs of the parts that the reference keeps, and the logits."""
    decoder = network.transformer["decoder"]
    parts = {
        "feature_map": network.backbone[0],
        "position_encoding": network.backbone[1],
        "projected": network.input_proj,
        "encoder_memory": network.transformer["encoder"],
        "query_states": decoder,
        **{f"decoder_layer_{number}": layer for number, layer in enumerate(decoder.layers)},
    }
    seen = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _part, _inputs, output, name=name: seen.__setitem__(name, output))
    logits = network(images)
    return seen | {"logits": logits, "probabilities": logits.sigmoid()}


@torch.no_grad()
def _check_network(case):
    config, close = case.meta["config"], case.meta["tolerance"]["float_outputs"]
    network = load_query2label(case.folder / "weights.safetensors", heads=config["num_heads"])
    assert network.image_size == config["image_size"]
    assert len(network.query_embed.weight) == config["num_classes"]
    for name, got in _hooked(network, torch.from_numpy(case.inputs["pixel_values"])).items():
        case.check(name, got, **close)
        if name == "logits":
            case.check("labels", to_labels(got.sigmoid().numpy(), config["threshold"]))
    own = SinePositionEncoding(config["hidden_dim"], network.image_size // network.backbone[0].stride)
    case.check("position_encoding", own.pe, **close)  # the one computed here, not only the stored one


def _check_precision(case):
    scores, labels = (torch.from_numpy(case.inputs[name]) for name in ("map_scores", "map_targets"))
    percent = 100 * voc_average_precision(scores, labels.bool())
    case.check("map_per_class", percent, **case.meta["tolerance"]["map"])
    case.check("map_mean", percent.mean(), **case.meta["tolerance"]["map"])


def _check_vgg_preparation(case):
    for name, image in case.inputs.items():
        rgb = Image.fromarray(image).convert("RGB")
        for resize, step in KEPT.items():
            got = preprocess(rgb, resize)[:, ::step, ::step]
            atol = case.meta["tolerance"]["same Pillow resize"]
            case.check(f"{name.removesuffix('_uint8')}_{resize}", got, atol=atol)


def test_q2l_gives_the_original_values(q2l_case, reference):
    case = reference(q2l_case)
    if "config" in case.meta:
        _check_pixels(case)
        _check_network(case)
        if "targets" in case.inputs:
            _check_precision(case)
    else:
        _check_vgg_preparation(case)
    case.check_complete(**{name: NOT_TRAINED for name in case.outputs if name.startswith("asl_loss_")})


@torch.no_grad()
def test_q2l_reference_tells_rows_from_columns(q2l_case, reference):
    """A position encoding with row and column exchanged is far outside."""
    case = reference(q2l_case)
    if "config" not in case.meta:
        return
    network = load_query2label(case.folder / "weights.safetensors", heads=case.meta["config"]["num_heads"])
    network.backbone[1].pe = network.backbone[1].pe.transpose(2, 3)
    logits = network(torch.from_numpy(case.inputs["pixel_values"]))
    close = case.meta["tolerance"]["float_outputs"]
    assert not np.allclose(logits, case.outputs["logits"], **close)
