"""BEiT-3 for retrieval: one multiway transformer as dual encoder of images and captions."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.blocks.multiway import MultiwayEncoder
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.checkpoint_io.resize import resize_position_table

log = logging.getLogger(__name__)

END = 2  # id of the end marker
_VISUAL = "beit3.encoder.embed_positions.A.weight"
_WORDS = "beit3.text_embed.weight"
_PREFIX_ROWS = MultiwayEncoder.OFFSET + 1  # two unused rows and the class token


class _Patches(nn.Module):
    """Patch embedding with the class token in front."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        # Of the masked pre-training: it is in every checkpoint, but no retrieval reads it, so it is not a parameter.
        self.register_buffer("mask_token", torch.zeros(1, 1, dim))

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images tokens dim"]:
        patches = self.proj(images).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)


class _Trunk(nn.Module):
    """The network without its heads, under the authors' names."""

    def __init__(self, text_embed: nn.Embedding, vision_embed: _Patches, encoder: MultiwayEncoder) -> None:
        super().__init__()
        self.text_embed = text_embed
        self.vision_embed = vision_embed
        self.encoder = encoder


class BEiT3(nn.Module):
    """Dual encoder with unit vectors, compared by inner product. The defaults are the base model.

    Args:
        vocab_size: Rows of the word table.
        image_size: Side of the square images, in pixels, a multiple of ``patch_size``.
        patch_size: Side of a patch, in pixels.
        dim: Width of states and embeddings.
        layers: Number of layers.
        heads: Attention heads.
        inner_dim: Width inside the perceptrons.
        text_rows: Rows of the text position table; two are unused.
        drop_path: Stochastic depth of the last layer, 0..1; it grows linearly from 0 at the first.
        temperature: Initial value of the temperature of the loss; the parameter ``logit_scale`` is ``-log`` of it.
        linear_std: Initial standard deviation of the linear layers, truncated at one deviation.
        position_std: Initial standard deviation of the position tables.

    Raises:
        ValueError: The image is not a multiple of the patch, or the width none of the heads.

    Source:
        Wang et al., CVPR 2023, arXiv 2208.10442, and the authors' public code (``BEiT3ForRetrieval``), whose
        parameter names and initial values are kept.

    Differs:
        The mask token is kept, but not trained.
    """

    def __init__(
        self,
        vocab_size: int = 64010,
        image_size: int = 384,
        patch_size: int = 16,
        dim: int = 768,
        layers: int = 12,
        heads: int = 12,
        inner_dim: int = 3072,
        text_rows: int = 1024,
        drop_path: float = 0.0,
        temperature: float = 0.07,
        linear_std: float = 0.02,
        position_std: float = 1.0,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"image_size {image_size} is not a multiple of patch_size {patch_size}")
        visual_rows = _PREFIX_ROWS + (image_size // patch_size) ** 2
        self.beit3 = _Trunk(
            nn.Embedding(vocab_size, dim),
            _Patches(patch_size, dim),
            MultiwayEncoder(dim, layers, heads, inner_dim, (visual_rows, text_rows), drop_path),
        )
        self.vision_head = nn.Linear(dim, dim, bias=False)
        self.language_head = nn.Linear(dim, dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self._initialise(linear_std, position_std)

    def _initialise(self, linear_std: float, position_std: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=linear_std, a=-linear_std, b=linear_std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.beit3.text_embed.weight, std=self.vision_head.in_features**-0.5)
        for table in (self.beit3.encoder.embed_positions.A, self.beit3.encoder.embed_positions.B):
            nn.init.normal_(table.weight, std=position_std)

    def layers_above(self, name: str) -> int:
        """Layers between a parameter and the output, for layer-wise decay: 0 for heads, all and one for embeddings."""
        layers = len(self.beit3.encoder.layers)
        if "embed" in name:
            return layers + 1
        _, is_layer, rest = name.partition("encoder.layers.")
        return layers - int(rest.split(".")[0]) if is_layer else 0

    def image_states(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images tokens dim"]:
        """States of the last layer: the class token, then the patches row by row."""
        states: Tensor = self.beit3.encoder(self.beit3.vision_embed(images), "A")
        return states

    def text_states(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """States of the last layer; those of the padding mean nothing. Arguments as in `encode_texts`."""
        if lengths is None:
            lengths = (texts == END).int().argmax(dim=1) + 1
        is_token = torch.arange(texts.shape[1], device=texts.device) < lengths.unsqueeze(1)
        states: Tensor = self.beit3.encoder(self.beit3.text_embed(texts), "B", is_token)
        return states

    def encode_images(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images dim"]:
        """Image vectors of unit length, from the class token."""
        return F.normalize(self.vision_head(self.image_states(images)[:, 0]).float(), dim=1)

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts dim"]:
        """Caption vectors of unit length, from the start marker.

        Args:
            texts: Ids with start and end marker, padded with anything.
            lengths: Ids per caption, both markers counted; up to the first end marker when not given.
        """
        return F.normalize(self.language_head(self.text_states(texts, lengths)[:, 0]).float(), dim=1)

    def load_released(self, path: Path | str) -> "BEiT3":
        """Load the authors' checkpoint, or the same tensors as safetensors; a table of another image size is resized.

        Args:
            path: The authors' ``.pth`` (the state lies under ``model`` or ``module``, or is the dict itself), or a
                ``.safetensors``.

        Returns:
            The network itself.

        Raises:
            DataError: The file is missing or unreadable, or a name or a shape differs; the first ones are named.
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        if _WORDS in state and len(state[_WORDS]) != len(self.beit3.text_embed.weight):
            raise DataError(
                f"{path} has a word table of {len(state[_WORDS])} rows instead of "
                f"{len(self.beit3.text_embed.weight)}; use the tokeniser and the sizes that belong to it, "
                "model.size=paper for the released files"
            )
        table = state.get(_VISUAL)
        rows = len(self.beit3.encoder.embed_positions.A.weight)
        if isinstance(table, Tensor) and table.ndim == 2 and len(table) != rows:
            state[_VISUAL] = resize_position_table(table, rows, _PREFIX_ROWS, path)
            log.info("%s: the visual position table was resized from %d to %d rows", path, len(table), rows)
        load_strictly(self, state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """The state dict inside a checkpoint of `read_checkpoint`; ``path`` is for the messages.

        Raises:
            DataError: ``model`` or ``module`` is not a dict.
        """
        for key in ("model", "module"):
            if key in checkpoint:
                if not isinstance(checkpoint[key], Mapping):
                    raise DataError(
                        f"{path} has a `{key}` that is not a dict of tensors; give a checkpoint of this model"
                    )
                return dict(checkpoint[key])
        return dict(checkpoint)
