"""Parameter names of released BLIP-2 checkpoints, mapped to those of our network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fico.errors import DataError

LIBRARY = "retrieval."  # our prefix of the parameters of transformers' model
_OURS = ("temp", "caption_head.", LIBRARY)
_CAPTIONS = "Qformer.cls.predictions."

# Prefix in the original -> prefix in transformers, the first match counts.
_PREFIXES = (
    ("visual_encoder.cls_token", "vision_model.embeddings.class_embedding"),
    ("visual_encoder.pos_embed", "vision_model.embeddings.position_embedding"),
    ("visual_encoder.patch_embed.proj", "vision_model.embeddings.patch_embedding"),
    ("visual_encoder.blocks.", "vision_model.encoder.layers."),
    ("ln_vision.", "vision_model.post_layernorm."),
    ("Qformer.bert.embeddings.LayerNorm.", "qformer.layernorm."),
    ("Qformer.bert.embeddings.", "embeddings."),
    ("Qformer.bert.encoder.", "qformer.encoder."),
    ("vision_proj.", "vision_projection."),
    ("text_proj.", "text_projection."),
)
_PARTS = (
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    (".attn.proj.", ".self_attn.projection."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attention.self.", ".attention.attention."),
    (".crossattention.self.", ".crossattention.attention."),
)
_CAPTION_PARTS = (("transform.dense.", "dense."), ("transform.LayerNorm.", "norm."))


def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Map the original's or transformers' parameter names to ours.

    Args:
        checkpoint: Tensors by name, perhaps under ``model``; original or transformers names.
        path: The checkpoint, for the message.

    Returns:
        Tensors by our names. An unknown name is passed on, so that strict loading names it.

    Raises:
        DataError: Original names without an image encoder: a file of the first stage, whose frozen encoder was not
            saved.
    """
    state = checkpoint.get("model", checkpoint)
    if not isinstance(state, Mapping):
        raise DataError(f"{path} has a `model` that is not a dict of weights; give a checkpoint of BLIP-2")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    state = {name: value for name, value in state.items() if not name.endswith("position_ids")}  # a constant
    if not any(name.startswith(("Qformer.", "visual_encoder.")) for name in state):
        return {name if name.startswith(_OURS) else LIBRARY + name: value for name, value in state.items()}
    if not any(name.startswith("visual_encoder.") for name in state):
        raise DataError(
            f"{path} has no visual_encoder.*: its image encoder was frozen in training and not saved; give a file "
            "with one, such as blip2_finetune_coco.pth"
        )
    return _from_original(state)


def _from_original(state: Mapping[str, Any]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in state.items():
        if name.startswith(_CAPTIONS):
            if not name.startswith(_CAPTIONS + "decoder."):  # tied: the word table, and `bias` again
                renamed["caption_head." + _replaced(name.removeprefix(_CAPTIONS), _CAPTION_PARTS)] = value
        elif name == "temp":
            renamed[name] = value
        elif name.endswith(".attn.q_bias") and name.replace("q_bias", "v_bias") in state:
            block = _library_name(name.removesuffix("attn.q_bias"))
            renamed[f"{LIBRARY}{block}self_attn.qkv.bias"] = _joint_bias(value, state[name.replace("q_bias", "v_bias")])
        elif not (name.endswith(".attn.v_bias") and name.replace("v_bias", "q_bias") in state):
            renamed[LIBRARY + _library_name(name)] = value
    return renamed


def _library_name(name: str) -> str:
    for old, new in _PREFIXES:
        if name.startswith(old):
            return _replaced(new + name.removeprefix(old), _PARTS)
    return name


def _replaced(name: str, parts: tuple[tuple[str, str], ...]) -> str:
    for old, new in parts:
        name = name.replace(old, new)
    return name


def _joint_bias(query: Tensor, value: Tensor) -> Tensor:
    """Bias of the joint projection: the original has none for keys."""
    return torch.cat([query, torch.zeros_like(query), value])
