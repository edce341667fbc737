"""Tiny random weights in the forms in which the authors release theirs: names, wrapping, suffix, what lies beside."""

import argparse
import json
import pickle
import re
import sys
from pathlib import Path
from types import ModuleType

import torch
from safetensors import safe_open

from fico.experiment.build import build
from fico.experiment.checkpoints.module import fill_sizes
from fico.features.text.sentence_pieces import SentencePieceModel
from fico.features.text.word_pieces import WordPieceModel
from fico.features.vocabulary import SPECIAL, Vocabulary
from tests.configs import composed
from tests.test_fico.cli.reproduce.paper_data import CLASSES, WIDTH, all_words

CASES = Path(__file__).resolve().parents[3] / "parity" / "cases"
# Reference cases with the authors' names, and what a file of theirs has before these.
NAMED = {
    "adv": "case_b_rerank_plain/weights",
    "beit3": "case_a/weights",
    "blip2": "case_a/weights_lavis",
    "dadh": "case_c_nus_dropout_layout/weights",
    "imram": "k3_lambda9_nonorm/weights",
    "scan": "bigru_standard/weights",
    "ucch": "case_c_warmup_then_memory/weights",
    "vsrn": "f30k/weights",
    "xvlm": "case_a/weights",
}
# Our names to the authors', in this order.
XVLM = (
    ("vision.embeddings.patch_embeddings.projection.", "vision_encoder.patch_embed.proj."),
    ("vision.embeddings.norm.", "vision_encoder.patch_embed.norm."),
    ("vision.encoder.layers.", "vision_encoder.layers."),
    ("vision.layernorm.", "vision_encoder.norm."),
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.o_proj.", ".attn.proj."),
    (".attention.relative_position_bias.", ".attn."),
    (".attention.q_proj.", ".attn.qkv."),
    ("text.", "text_encoder."),
)
BLIP2 = (
    ("retrieval.", ""),
    ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
    ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
    ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
    ("vision_model.encoder.layers.", "visual_encoder.blocks."),
    ("vision_model.post_layernorm.", "ln_vision."),
    (".layer_norm1.", ".norm1."),
    (".layer_norm2.", ".norm2."),
    (".self_attn.projection.", ".attn.proj."),
    (".self_attn.qkv.", ".attn.qkv."),
    ("attention.attention.", "attention.self."),
    ("qformer.layernorm.", "Qformer.bert.embeddings.LayerNorm."),
    ("qformer.encoder.", "Qformer.bert.encoder."),
    ("vision_projection.", "vision_proj."),
    ("text_projection.", "text_proj."),
)


def network(model, words, *overrides, seed=0):
    """The network at the size ``tiny``, with as many words as a vocabulary has."""
    config = composed(f"model={model}", "dataset=flickr30k", "model.size=tiny", *overrides)
    image = config.model.inputs.image
    sizes = {"image_dim": WIDTH, "text_dim": WIDTH, "vocab_size": words, "classes": CLASSES, "train_pairs": 10}
    sizes |= {} if isinstance(image, str) else {"image_size": image.get("size")}
    torch.manual_seed(seed)
    return build(fill_sizes(config.model.module, sizes).network)


def write_weights(folder, dataset):
    """Files of all models of the paper for a data set, by the names that ``fico reproduce`` looks for.

    Returns:
        The networks whose weights they hold, by the name of the file or folder.
    """
    folder.mkdir(exist_ok=True)
    pieces = WordPieceModel.fit([" ".join(all_words())] * 2)
    sentence_pieces = SentencePieceModel.fit([f"{word.upper()} {word}." for word in all_words()])
    words = len(_word_lists(folder, dataset))
    for name in (f"xvlm-{dataset}-vocab.txt", *([f"blip2-{dataset}-vocab.txt"] if dataset == "coco" else [])):
        (folder / name).write_text("\n".join(pieces.ids) + "\n")
    (folder / f"beit3-{dataset}.spm").write_bytes(sentence_pieces._processor.serialized_model_proto())

    branch = ("normalise_regions=false", "final_batch_norm=true") if dataset == "flickr30k" else ()
    vsrn = network("vsrn", words, *(f"model.module.network.{option}" for option in branch))
    found = {
        f"ucch-{dataset}.t7": (network("ucch", None), _ucch),
        f"dadh-{dataset}.pth": (network("dadh", None), lambda dadh: dadh.state_dict()),
        f"scan-{dataset}.pth.tar": (network("scan", words), lambda scan: _loop(_sides(scan.state_dict()))),
        f"imram-{dataset}.pth.tar": (network("imram", words), lambda imram: _loop(_imram(imram.state_dict()))),
        f"vsrn-{dataset}.pth.tar": (vsrn, lambda vsrn: _loop(_sides(vsrn.state_dict()))),
        f"beit3-{dataset}.pth": (network("beit3", sentence_pieces.size), lambda beit3: {"model": beit3.state_dict()}),
        f"xvlm-{dataset}.pth": (network("xvlm", pieces.size), _xvlm),
    }
    blip2 = network("blip2", pieces.size + 1)
    if dataset == "coco":  # as LAVIS has it
        found[f"blip2-{dataset}.pth"] = blip2, lambda blip2: {"model": _blip2(blip2)}
    else:  # ADV was released for this data set alone
        for bits in (64, 2048):
            adv = network("adv", None, f"model.bits={bits}", "model.inputs.text=bert")
            found[f"adv_{bits}-{dataset}.pth.tar"] = adv, _adv
    for name, (module, form) in found.items():
        torch.save(form(module), folder / name)
    modules = {name: module for name, (module, _) in found.items()}
    if dataset == "flickr30k":  # as the hub has it
        _blip2_folder(blip2, pieces, folder / f"blip2-{dataset}")
        modules[f"blip2-{dataset}"] = blip2
    return modules


def names_of(file):
    """Names of the weights in a file, numbers of layers left out; encoders in a list under their sides."""
    state = torch.load(file, weights_only=False)
    if "image_model_state_dict" in state:
        state = {f"{side}.{name}": 0 for side in ("image_model", "text_model") for name in state[f"{side}_state_dict"]}
    state = state.get("model", state)
    if isinstance(state, list):
        state = {
            f"{side}.{name}": 0 for side, part in zip(("img_enc", "txt_enc"), state, strict=False) for name in part
        }
    return _unnumbered(state)


def reference_names(model):
    """The same of the reference case of a model."""
    with safe_open(CASES / model / f"{NAMED[model]}.safetensors", "pt") as file:
        return _unnumbered(file.keys())


def _unnumbered(names):
    return {re.sub(r"\.\d+\.|_\d+\.", ".N.", name) for name in names}


def _word_lists(folder, dataset):
    """The JSON of SCAN and IMRAM, and the pickle of VSRN, whose class lies in its authors' script."""
    known = [*SPECIAL, *Vocabulary.build([all_words()]).words]
    content = {"word2idx": {word: number for number, word in enumerate(known)}, "idx": len(known)}
    content["idx2word"] = {str(number): word for number, word in enumerate(known)}
    for model in ("scan", "imram"):
        (folder / f"{model}-{dataset}-vocab.json").write_text(json.dumps(content))
    script = ModuleType("vocab")
    script.Vocabulary = type("Vocabulary", (), {"__module__": "vocab"})
    found = script.Vocabulary()
    vars(found).update(content, idx2word=dict(enumerate(known)))
    sys.modules["vocab"] = script
    try:
        (folder / f"vsrn-{dataset}-vocab.pkl").write_bytes(pickle.dumps(found, protocol=2))
    finally:
        del sys.modules["vocab"]
    return known


def _loop(weights):
    """What the training loops of VSE++ and those after it save."""
    options = argparse.Namespace(data_name="f30k_precomp", margin=0.2)
    return {"epoch": 1, "model": weights, "best_rsum": 1.0, "opt": options, "Eiters": 2}


def _sides(state):
    sides = ("img_enc.", "txt_enc.")
    return [
        {name.removeprefix(side): value for name, value in state.items() if name.startswith(side)} for side in sides
    ]


def _ucch(found):
    return {
        "image_model_state_dict": found.image_model.state_dict(),
        "text_model_state_dict": found.text_model.state_dict(),
        "optimizer_state_dict": {}, "Avg": 0.1, "Img2Txt": 0.1, "Txt2Img": 0.1, "epoch": 3,
    }  # fmt: skip


def _imram(state):
    return {f"module.{name.replace('img_enc.fc.', 'img_enc.fc_local.')}": value for name, value in state.items()}


def _adv(found):
    """With BERT's own weights, though they are frozen, and a third encoder, of concepts."""
    state = found.state_dict() | {"txt_enc.bert.embeddings.word_embeddings.weight": torch.ones(2, 2)}
    return _loop([*_sides(state), {"0.weight": torch.ones(2, 2)}])


def _xvlm(found):
    first = len(found.text.encoder.layer)
    state = {}
    for name, value in found.state_dict().items():
        if match := re.match(r"fusion\.(\d+)\.", name):
            name = f"text.encoder.layer.{first + int(match[1])}.{name[match.end() :]}"
        if ".q_proj." in name:
            parts = [found.state_dict()[name.replace("q_proj", kind)] for kind in ("q_proj", "k_proj", "v_proj")]
            value = torch.cat(parts)
        if ".k_proj." not in name and ".v_proj." not in name:
            state[_replaced(name, XVLM)] = value
    state["text_encoder.embeddings.position_ids"] = torch.arange(4)[None]
    return {"model": state, "config": {"image_res": 384}}


def _blip2(found):
    state = {}
    for name, value in found.state_dict().items():
        name = _replaced(name, BLIP2)
        name = f"Qformer.bert.{name}" if name.startswith("embeddings.") else name
        if name.endswith(".attn.qkv.bias"):
            query, _, last = value.chunk(3)
            state |= {name.replace("qkv.bias", "q_bias"): query, name.replace("qkv.bias", "v_bias"): last}
        else:
            state[name] = value
    return state


def _blip2_folder(found, pieces, folder):
    found.retrieval.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(pieces.ids) + "\n")


def _replaced(name, pairs):
    for ours, theirs in pairs:
        name = name.replace(ours, theirs)
    return name
