"""UCCH against the authors' code: codes, every loss term, gradients, memory bank, weights."""

import numpy as np
import pytest
import torch

from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking, inside_margin
from fico.networks.ucch import UCCH


def _parts(case):
    config = case.meta["config"]
    network = UCCH(
        image_dim=config["img_dim"],
        text_dim=config["txt_dim"],
        bits=config["bit"],
        image_layers=config["layers"][0],
        text_layers=config["layers"][1],
        hidden_dim=config["mid"],
        inner_dim=config["mid2"],
    ).load_released(case.folder / "weights.safetensors")
    contrast = ContrastiveHashing(
        train_pairs=config["n_data"],
        bits=config["bit"],
        negatives=config["K"],
        temperature=config["T"],
        momentum=config["momentum"],
    )
    contrast.memory.copy_(torch.from_numpy(case.inputs["memory_init"]))
    return network, contrast, CrossModalRanking(config["margin"], config["shift"])


def _run(case):
    """The original's training steps; keeps every value that an output has a name for."""
    config, inputs = case.meta["config"], {name: torch.from_numpy(a) for name, a in case.inputs.items()}
    network, contrast, ranking = _parts(case)
    optimizer = torch.optim.Adam(network.parameters(), lr=config["lr"], weight_decay=config["wd"])
    got, trace = {}, {}
    for step, rows in enumerate(inputs["batch_index"]):
        h_image, h_text = network(inputs["images"][rows], inputs["texts"][rows])
        hashing = contrast(
            h_image,
            h_text,
            rows,
            warmup=bool(inputs["epoch_minus_warmup"][step] < 0),
            draws=inputs["draw_index"][step, :, 1:],
        )
        margin = ranking(h_image, h_text)
        contrastive, rank = hashing.image + hashing.text, margin.i2t + margin.t2i
        loss = config["alpha"] * contrastive + (1 - config["alpha"]) * rank
        optimizer.zero_grad()
        loss.backward()
        before = _gradients(network)
        total = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if step == 0:
            scores = h_image @ h_text.T
            got |= {
                "image_code": h_image,
                "text_code": h_text,
                "image_binary": network.encode_images(inputs["images"][rows]),
                "text_binary": network.encode_texts(inputs["texts"][rows]),
                "nce_logits_image": hashing.image_logits,
                "nce_logits_text": hashing.text_logits,
                "crl_scores": scores,
                "crl_mask_i2t": inside_margin(scores, config["margin"]),
                "crl_mask_t2i": inside_margin(scores.T, config["margin"]).T,
                "L_r_i2t": margin.i2t,
                "L_r_t2i": margin.t2i,
                "memory_after_step1": contrast.memory.clone(),
            }
            got |= {f"grad/{name}": grad for name, grad in before.items()}
            got |= {f"grad_norm/{name}": grad.norm() for name, grad in before.items()}
            got |= {f"grad_norm_clipped/{name}": grad.norm() for name, grad in _gradients(network).items()}
        optimizer.step()
        values = {
            "L_c_image": hashing.image,
            "L_c_text": hashing.text,
            "L_c": contrastive,
            "L_r": rank,
            "L_total": loss,
            "grad_total_norm": total,
        }
        for name, value in values.items():
            trace.setdefault(f"trace_{name}", []).append(value.item())
    got |= {name: np.array(values, dtype=np.float32) for name, values in trace.items()}
    got["memory_after_last"] = contrast.memory
    for name, value in network.state_dict().items():
        got[f"final/{name}"] = value
        wide = value.double()
        got[f"final_checksum/{name}"] = torch.stack([wide.sum(), wide.abs().sum(), wide.norm(), wide.abs().max()])
    with torch.no_grad():
        got["all_image_code_after"], got["all_text_code_after"] = network(inputs["images"], inputs["texts"])
    return got


def _gradients(network):
    return {name: parameter.grad.clone() for name, parameter in network.named_parameters()}


def test_ucch_trains_as_the_original(ucch_case, reference):
    case = reference(ucch_case)
    torch.manual_seed(0)
    got = _run(case)
    tolerances = case.meta["suggested_tolerances"]["atol"]
    for name in case.outputs:
        atol = tolerances[name]
        case.check(name, got[name], atol=0.0 if atol == "exact" else atol)
    case.check_complete()


@pytest.mark.parametrize("wrong", ["momentum", "temperature"])
def test_ucch_reference_tells_a_wrong_constant_apart(ucch_case, reference, wrong):
    """The tolerances are tight enough to see one part in a thousand."""
    case = reference(ucch_case)
    if wrong == "momentum" and max(case.meta["config"]["epoch_minus_warmup"]) < 0:
        return  # warming up replaces the rows, whatever the momentum
    case.meta["config"]["momentum" if wrong == "momentum" else "T"] *= 1.001
    got = _run(case)
    name = "memory_after_last" if wrong == "momentum" else "trace_L_c"
    with pytest.raises(AssertionError, match=name):
        case.check(name, got[name], atol=case.meta["suggested_tolerances"]["atol"][name])
