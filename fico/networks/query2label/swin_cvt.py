"""Swin and CvT of transformers as backbones of Query2Label, and the parameter names of their authors' releases."""

import re
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fico.util.optional import requires_extra

State = dict[str, Tensor]

_SWIN_NAMES = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^patch_embed\.norm\.", "embeddings.norm."),
    (r"^norm\.", "layernorm."),
    (r"^layers\.", "encoder.layers."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.relative_position_bias_table$", ".attention.relative_position_bias.relative_position_bias_table"),
    (r"\.attn\.proj\.", ".attention.o_proj."),
)
_SWIN_BUFFERS = ("relative_position_index", "attn_mask")  # follow from the sizes
_CVT_NAMES = (
    (r"^stage(\d+)\.", r"encoder.stages.\1."),
    (r"\.patch_embed\.proj\.", ".embedding.convolution_embeddings.projection."),
    (r"\.patch_embed\.norm\.", ".embedding.convolution_embeddings.normalization."),
    (r"\.blocks\.", ".layers."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
)
_CVT_SIDES = {"q": "query", "k": "key", "v": "value"}


class _QuickGELU(nn.Module):
    """``x sigmoid(1.702 x)``, with which CvT was trained instead of the exact GELU."""

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return values * torch.sigmoid(1.702 * values)


class SwinTrunk(nn.Module):
    """Images of one size to the last feature map after its norm, stride 32.

    Args:
        image_size: Side of the input, in pixels.
        dim: Channels of the first stage; 192 in Swin-L.
        blocks: Blocks of each stage; 2, 2, 18, 2.
        heads: Heads of each stage; 6, 12, 24, 48.
        window: Side of an attention window, in patches; 12.

    Source:
        Liu et al., ICCV 2021; the network is that of the transformers library.
    """

    stride = 32

    def __init__(
        self,
        image_size: int = 384,
        dim: int = 192,
        blocks: Sequence[int] = (2, 2, 18, 2),
        heads: Sequence[int] = (6, 12, 24, 48),
        window: int = 12,
    ) -> None:
        super().__init__()
        with requires_extra("models"):
            from transformers import SwinConfig, SwinModel  # seconds to import

        config = SwinConfig(
            image_size=image_size,
            embed_dim=dim,
            depths=list(blocks),
            num_heads=list(heads),
            window_size=window,
            drop_path_rate=0.0,
        )
        self.channels = dim * 2 ** (len(blocks) - 1)
        self.model = SwinModel(config, add_pooling_layer=False)

    def forward(self, images: Float[Tensor, "images 3 size size"]) -> Float[Tensor, "images channels h w"]:
        """The last map."""
        tokens: Tensor = self.model(images).last_hidden_state
        maps: Tensor = tokens.transpose(1, 2).unflatten(2, (images.shape[2] // self.stride, -1))
        return maps


class CvtTrunk(nn.Module):
    """Images to the last feature map after its norm, stride 16; the class token is dropped.

    Args:
        dims: Channels of each stage; 192, 768, 1024 in CvT-w24.
        blocks: Blocks of each stage; 2, 2, 20.
        heads: Heads of each stage; 3, 12, 16.

    Source:
        Wu et al., ICCV 2021; the network is that of the transformers library.

    Differs:
        The library's exact GELU is replaced by ``x sigmoid(1.702 x)``, with which the released weights were trained.
    """

    stride = 16

    def __init__(
        self,
        dims: Sequence[int] = (192, 768, 1024),
        blocks: Sequence[int] = (2, 2, 20),
        heads: Sequence[int] = (3, 12, 16),
    ) -> None:
        super().__init__()
        with requires_extra("models"):
            from transformers import CvtConfig, CvtModel

        config = CvtConfig(
            embed_dim=list(dims),
            depth=list(blocks),
            num_heads=list(heads),
            drop_path_rate=[0.0] * len(dims),
            drop_rate=[0.0] * len(dims),
        )
        self.channels = dims[-1]
        self.model = CvtModel(config, add_pooling_layer=False)
        self.norm = nn.LayerNorm(dims[-1])
        for module in list(self.model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.GELU):
                    setattr(module, name, _QuickGELU())

    def forward(self, images: Float[Tensor, "images 3 size size"]) -> Float[Tensor, "images channels h w"]:
        """The last map."""
        maps: Tensor = self.model(images).last_hidden_state
        normed: Tensor = self.norm(maps.movedim(1, 3)).movedim(3, 1)
        return normed


def swin_state(released: Mapping[str, Tensor]) -> State:
    """Map the authors' parameter names, those of ``backbone.0`` in a file, to those of `SwinTrunk`."""
    state: State = {}
    for name, value in released.items():
        if name.endswith(_SWIN_BUFFERS):
            continue
        block, _, kind = name.partition(".attn.qkv.")
        if kind:
            parts = zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True)
            renamed = _renamed(block + ".", _SWIN_NAMES)
            state |= {f"model.{renamed}attention.{part}.{kind}": rows for part, rows in parts}
        else:
            state[f"model.{_renamed(name, _SWIN_NAMES)}"] = value
    return state


def cvt_state(released: Mapping[str, Tensor]) -> State:
    """Map the authors' parameter names, those of ``backbone.0`` in a file, to those of `CvtTrunk`."""
    return {name if name.startswith("norm.") else f"model.{_cvt_name(name)}": v for name, v in released.items()}


def _cvt_name(name: str) -> str:
    if found := re.search(r"\.attn\.conv_proj_([qkv])\.(conv|bn)\.", name):
        side, part = _CVT_SIDES[found[1]], {"conv": "convolution", "bn": "normalization"}[found[2]]
        new = f".attention.attention.convolution_projection_{side}.convolution_projection.{part}."
        name = name.replace(found[0], new)
    elif found := re.search(r"\.attn\.proj_([qkv])\.", name):
        name = name.replace(found[0], f".attention.attention.projection_{_CVT_SIDES[found[1]]}.")
    return _renamed(name, _CVT_NAMES)


def _renamed(name: str, rules: Sequence[tuple[str, str]]) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name
