"""From the names of released X-VLM weights to those of our network, and its bias tables to other windows."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from fico.errors import DataError

log = logging.getLogger(__name__)

_COUNTED = ("relative_position_index", "attn_mask", "position_ids")  # follow from the sizes
_PRE_TRAINING = ("text_encoder.cls.", "bbox_head.")  # heads that retrieval does not use
_BEGINNINGS = (
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
_LARGEST_RATIO = 1.5  # of the geometric grid, as upstream


def by_our_names(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Bring the authors' names to ours, those of transformers' Swin and BERT; ours stay as they are.

    Args:
        checkpoint: Tensors by name, perhaps under ``model``.
        path: Where they come from, for the message.

    Returns:
        Tensors by our names. An unknown name is passed on, so that strict loading names it.

    Raises:
        DataError: ``model`` is no dict of weights.
    """
    state = checkpoint.get("model", checkpoint)
    if not isinstance(state, Mapping):
        raise DataError(f"{path} has a `model` that is no dict of weights; give a checkpoint of X-VLM")
    state = {_plain(name): value for name, value in state.items() if not name.endswith(_COUNTED)}
    unused = [name for name in state if name.startswith(_PRE_TRAINING)]
    if unused:
        log.info("%s: %d tensors of pre-training heads are left out (%s, ...)", path, len(unused), unused[0])
    kept = ((name, value) for name, value in state.items() if name not in unused)
    renamed = {new: part for name, value in kept for new, part in _renamed(name, value)}
    return _with_fusion(renamed)


def _plain(name: str) -> str:
    return name.removeprefix("module.").replace("text_encoder.bert.", "text_encoder.")


def _renamed(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    for old, new in _BEGINNINGS:
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
    """The layers from the first that looks at the image on are those of our fusion."""
    found = [match for name in state if "crossattention" in name and (match := _LAYER.match(name))]
    first = min((int(match[1]) for match in found), default=None)
    if first is None:
        return dict(state)

    def ours(match: re.Match[str]) -> str:
        layer = int(match[1])
        return match[0] if layer < first else f"fusion.{layer - first}."

    return {_LAYER.sub(ours, name): value for name, value in state.items()}


def resize_bias_table(table: Float[Tensor, "places heads"], places: int) -> Float[Tensor, "resized heads"]:
    """Fit a table of biases by relative position to another window, by a cubic spline over a geometric grid.

    The old positions are spread so that near ones stay close together and the outermost come near to the new edge.

    Args:
        table: ``(2 w - 1) ** 2`` rows for windows of side ``w``.
        places: Rows wanted, the square of an odd number too.

    Returns:
        The same table where it has as many rows already, or is none of a square window.
    """
    old, new = round(len(table) ** 0.5), round(places**0.5)
    if len(table) == places or old * old != len(table) or old < 3:
        return table
    reach, wanted = old // 2, new // 2
    powers = _ratio(reach, wanted) ** np.arange(reach)
    side = np.cumsum(powers)
    at = np.concatenate([-side[::-1], [0.0], side])
    asked = np.arange(-wanted, wanted + 1, dtype=np.float64)
    grids = table.double().numpy().reshape(old, old, -1)
    degree = min(3, old - 1)
    splines = (RectBivariateSpline(at, at, grids[..., head], kx=degree, ky=degree) for head in range(grids.shape[2]))
    resized = [spline(asked, asked) for spline in splines]
    values: Tensor = torch.from_numpy(np.stack(resized, axis=-1)).reshape(places, -1).to(table.dtype)
    return values


def _ratio(count: int, total: int) -> float:
    """Ratio of the geometric series of so many terms from 1 that reaches a total, at most `_LARGEST_RATIO`."""
    low, high = 1.01, _LARGEST_RATIO
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if np.sum(middle ** np.arange(count)) > total else (middle, high)
    return low
