"""ADV against the authors' code: codes, every loss term, gradients, weights after the steps."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR

from fico.losses.angular import Angular
from fico.losses.caption_variants import Adversary
from fico.losses.triplet import TripletHinge
from fico.networks.adv import ADV
from fico.networks.blocks.balanced import ConceptHead
from fico.networks.blocks.bert import Bert
from fico.networks.checkpoint_io.load import load_strictly
from models.adv import ADVModule, VariantBatch

QUIET = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")  # the cases jump from epoch to epoch
TERMS = ("rephrase", "adversary", "concept")


def _network(config):
    is_screening = config["kind"] == "screen"
    bert = Bert(
        config["vocab"],
        config["bert_hidden"],
        config["bert_layers"],
        config["bert_heads"],
        config["bert_inter"],
        config["max_pos"],
        dropout=0.0,
    )
    return ADV(
        config["backbone_dim"] if is_screening else config["img_dim"],
        bits=config["final_dims"],
        is_screening=is_screening,
        region_dim=config["tr_hidden"],
        region_heads=config["tr_heads"],
        region_inner_dim=config["tr_inter"],
        word_dim=config["bert_hidden"],
        bert=bert,
        max_words=config["max_words"],
        dropout=0.0,
    )


def _module(case):
    config, path = case.meta["config"], case.folder / "weights.safetensors"
    concept = None
    if config["need_concept_label"]:
        concept = ConceptHead(config["final_dims"], config["concept_num"])
        prefix = "concept_enc."
        state = {name.removeprefix(prefix): value for name, value in load_file(path).items() if name.startswith(prefix)}
        load_strictly(concept, state, path)
    return ADVModule(
        _network(config).load_released(path),
        TripletHinge(config["margin"], hardest=config["max_violation"]),
        optimizer=partial(Adam, lr=config["learning_rate"]),
        adversary=Adversary(config["adv_margin"]),
        concept=concept,
        scheduler=partial(StepLR, step_size=10, gamma=0.1),
        first_variant_epoch=config["adversary_step"] + 1,
    )


def _batch(case, step):
    """Masks and type ids of the case say nothing that the ids do not: padding is 0, all is one segment."""
    config, inputs = case.meta["config"], {name: torch.from_numpy(array[step]) for name, array in case.inputs.items()}
    for kind in {"input", "rephrase", "adversary"} & {name.split("_")[0] for name in inputs}:
        assert torch.equal(inputs[f"{kind}_mask"] > 0, inputs[f"{kind}_ids"] > 0)
        assert not inputs[f"{kind}_type_ids"].any()
    rows = torch.arange(config["batch"])
    return VariantBatch(
        images=inputs.get("roi_feature", inputs.get("pooled_image")),
        image_ids=rows,
        texts=inputs["input_ids"],
        text_ids=rows,
        labels=inputs.get("concept_label"),
        rephrased=inputs["rephrase_ids"] if config["need_rephrase_data"] else None,
        falsified=inputs["adversary_ids"] if config["need_adversary_data"] else None,
    )


def _run(case):
    """The original's training steps; keeps every value that an output has a name for."""
    module, epochs = _module(case), case.meta["config"]["epochs"]
    made, logged, trace = module.configure_optimizers(), {}, {}
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]
    module.trainer = SimpleNamespace(current_epoch=0, barebones=True)
    module.log_dict = lambda values, **_: logged.update(values)
    module.log = lambda name, value, **_: logged.update({name: value})
    got = _first_outputs(module, _batch(case, 0))
    for step, epoch in enumerate(epochs):
        while scheduler.last_epoch < epoch:
            scheduler.step()
        module.trainer.current_epoch = epoch
        logged.clear()
        optimizer.zero_grad()
        module.training_step(_batch(case, step), step).backward()
        if step == 0:
            got |= _gradients(module)
        optimizer.step()
        for name, value in _as_the_original_logs(logged, module).items():
            trace.setdefault(f"trace_{name}", []).append(value.item() if torch.is_tensor(value) else value)
    module.eval()
    batch = _batch(case, 0)
    with torch.no_grad():
        got["image_code_after"], got["text_code_after"] = module.network(batch.images, batch.texts)
    final = {name: value for name, value in _named(module) if value.requires_grad}
    got |= {f"final/{name}": value for name, value in final.items()}
    got |= {f"final_checksum/{name}": _checksum(value) for name, value in final.items()}
    return got | trace


def _first_outputs(module, batch):
    network, code = module.network, {}
    images, texts = network(batch.images, batch.texts)
    for name in ("rephrased", "falsified"):
        if getattr(batch, name) is not None:
            code[{"rephrased": "rephrase_code", "falsified": "adversary_code"}[name]] = module._encode_variants(
                getattr(batch, name)
            )
    angular = Angular()(images, texts)
    signs = images.sign(), texts.sign()
    for wanted, coded in zip(
        signs, (network.encode_images(batch.images), network.encode_texts(batch.texts)), strict=True
    ):
        torch.testing.assert_close(coded, wanted.where(wanted != 0, torch.ones(())))  # the original's 0 is +1 here
    if module.concept is not None:
        code["concept_prediction"] = module.concept(texts)
    return code | {
        "image_code": images,
        "text_code": texts,
        "image_binary": signs[0],
        "text_binary": signs[1],
        "bert_last_layer": network.txt_enc.states(batch.texts),
        "cosine_scores": torch.nn.functional.normalize(images) @ torch.nn.functional.normalize(texts).T,
        "angular_i2t": angular.i2t,
        "angular_t2i": angular.t2i,
        "hamming_image_text": (network.bits - signs[0] @ signs[1].T) / 2,
    }


def _as_the_original_logs(logged, module):
    """It logs 0 for a term that is off, and the angular term with its weight beside it."""
    weight = module._angular_weight()
    return {
        "loss_contrastive": logged["train/triplet"],
        "loss_angular": logged["train/angular"] if weight else 0.0,
        "loss_reg": logged["train/norms"],
        "loss_total": logged["train/loss"],
        "alpha": weight,
    } | {f"loss_{name}": logged.get(f"train/{name}", 0.0) for name in TERMS}


def _named(module):
    yield from module.network.named_parameters()
    if module.concept is not None:
        yield from ((f"concept_enc.{name}", value) for name, value in module.concept.named_parameters())


def _gradients(module):
    found = {}
    for name, parameter in _named(module):
        if parameter.requires_grad:
            grad = parameter.grad.clone()
            found |= {f"grad/{name}": grad, f"grad_norm/{name}": grad.norm(), f"grad_checksum/{name}": _checksum(grad)}
    return found


def _checksum(value):
    wide = value.detach().double()
    return torch.stack([wide.sum(), wide.abs().sum(), wide.norm(), wide.abs().max()])


@QUIET
def test_adv_trains_as_the_original(adv_case, reference):
    case = reference(adv_case)
    got = _run(case)
    tolerances = case.meta["suggested_tolerances"]["atol"]
    noise = {name: "rounding noise: its true gradient is zero" for name in case.outputs if tolerances[name] == "skip"}
    assert all(name.endswith("attention.self.key.bias") for name in noise)  # final/ is compared for these too
    for name in set(case.outputs) - set(noise):
        atol = tolerances[name]
        case.check(name, got[name], atol=0.0 if atol == "exact" else atol)
    case.check_complete(**noise)


def test_adv_trains_the_same_parameters_as_the_original(adv_case, reference):
    case = reference(adv_case)
    if "trainable_parameters" in case.meta:
        trained = {name for name, value in _named(_module(case)) if value.requires_grad}
        assert trained == set(case.meta["trainable_parameters"])


@QUIET
@pytest.mark.parametrize(
    ("wrong", "seen_in"), [("margin", "trace_loss_contrastive"), ("learning_rate", "final/txt_enc.mapping.bias")]
)
def test_adv_reference_tells_a_wrong_constant_apart(adv_case, reference, wrong, seen_in):
    """The tolerances are tight enough to see one part in a hundred."""
    case = reference(adv_case)
    case.meta["config"][wrong] *= 1.01
    with pytest.raises(AssertionError, match=seen_in):
        case.check(seen_in, _run(case)[seen_in], atol=case.meta["suggested_tolerances"]["atol"][seen_in])
