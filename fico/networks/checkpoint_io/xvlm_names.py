"""Parameter names of released X-VLM checkpoints, mapped to those of our network."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fico.errors import DataError

log = logging.getLogger(__name__)

_CONSTANT = ("relative_position_index", "attn_mask", "position_ids")  # buffers that follow from the sizes
_PRE_TRAINING = ("text_encoder.cls.", "bbox_head.")  # heads that retrieval does not use
_PREFIXES = (
    ("vision_encoder.patch_embed.proj.", "vision.embeddings.patch_embeddings.projection."),
    ("vision_encoder.patch_embed.norm.", "vision.embeddings.norm."),
    ("vision_encoder.layers.", "vision.encoder.layers."),
    ("vision_encoder.norm.", "vision.layernorm."),
    ("text_encoder.", "text."),
)
_PARTS = (
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
    (".attn.proj.", ".attention.o_proj."),
    (".attn.relative_position_bias_table", ".attention.relative_position_bias.relative_position_bias_table"),
)
_LAYER = re.compile(r"text\.encoder\.layer\.(\d+)\.")


def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Map the authors' parameter names to ours, those of transformers' Swin and BERT; ours stay as they are.

    Args:
        checkpoint: Tensors by name, perhaps under ``model``.
        path: The checkpoint, for the message.

    Returns:
        Tensors by our names. An unknown name is passed on, so that strict loading names it.

    Raises:
        DataError: ``model`` is not a dict of weights.
    """
    state = checkpoint.get("model", checkpoint)
    if not isinstance(state, Mapping):
        raise DataError(f"{path} has a `model` that is not a dict of weights; give a checkpoint of X-VLM")
    state = {_plain(name): value for name, value in state.items() if not name.endswith(_CONSTANT)}
    unused = [name for name in state if name.startswith(_PRE_TRAINING)]
    if unused:
        log.info("%s: %d tensors of pre-training heads are left out (%s, ...)", path, len(unused), unused[0])
    kept = ((name, value) for name, value in state.items() if name not in unused)
    renamed = {new: part for name, value in kept for new, part in _renamed(name, value)}
    return _with_fusion(renamed)


def _plain(name: str) -> str:
    return name.removeprefix("module.").replace("text_encoder.bert.", "text_encoder.")


def _renamed(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    for old, new in _PREFIXES:
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    for old, new in _PARTS if name.startswith("vision.") else ():
        name = name.replace(old, new)
    if ".attn.qkv." in name and isinstance(value, Tensor):
        parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
        yield from ((name.replace(".attn.qkv.", f".attention.{kind}."), part) for kind, part in parts)
    else:
        yield name, value


def _with_fusion(state: Mapping[str, Any]) -> dict[str, Any]:
    """Move text layers to ``fusion``, from the first with cross-attention on."""
    found = [match for name in state if "crossattention" in name and (match := _LAYER.match(name))]
    first = min((int(match[1]) for match in found), default=None)
    if first is None:
        return dict(state)

    def ours(match: re.Match[str]) -> str:
        layer = int(match[1])
        return match[0] if layer < first else f"fusion.{layer - first}."

    return {_LAYER.sub(ours, name): value for name, value in state.items()}
