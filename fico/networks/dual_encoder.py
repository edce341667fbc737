"""Any dual encoder of transformers: CLIP, SigLIP, SigLIP 2 and others."""

import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.blocks.patches import unpack_patches
from fico.networks.checkpoint_io.transformers_models import clip_from_scratch, model_from_config, pretrained_model


class DualEncoder(nn.Module):
    """Dual encoder with unit vectors, compared by cosine.

    Args:
        source: Folder in the form of transformers or hub name, which decides the architecture. Without it a CLIP of the
            sizes below, from scratch.
        vocab_size: Ids of the tokeniser.
        image_size: Side of the square images of the CLIP from scratch, in pixels; else the processor decides.
        patch_size: Side of a patch, in pixels.
        dim: Width of the states of both sides and of the embeddings.
        layers: Layers of each side.
        heads: Attention heads.
        text_rows: Rows of the text position table.
        end_id: Id of the end marker, whose state is pooled.

    Raises:
        DataError: The folder holds another kind of model, or one with fewer ids than the tokeniser.

    Source:
        Radford et al., ICML 2021 (CLIP); Zhai et al., ICCV 2023 (SigLIP); Tschannen et al. 2025 (SigLIP 2); their
        ports in transformers.

    Differs:
        SigLIP's score is a sigmoid of the scaled and shifted cosine, which orders as the cosine does. Its training
        loss here is CLIP's, which needs no shift.
    """

    def __init__(
        self,
        source: str | Path | None = None,
        vocab_size: int = 49408,
        image_size: int | None = None,
        patch_size: int = 16,
        dim: int = 512,
        layers: int = 12,
        heads: int = 8,
        text_rows: int = 77,
        end_id: int = 3,
    ) -> None:
        super().__init__()
        self.model: Any  # transformers has no type for all of them
        if source is None:
            sizes = {
                "hidden_size": dim,
                "intermediate_size": 4 * dim,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
            }
            text = {"vocab_size": vocab_size, "max_position_embeddings": text_rows, "eos_token_id": end_id}
            vision = {"image_size": image_size or 224, "patch_size": patch_size}
            self.model = clip_from_scratch(sizes | text | {"bos_token_id": 0, "pad_token_id": 0}, sizes | vision, dim)
        else:
            self.model = model_from_config(source)
        self._check_ids(vocab_size, source)
        self._select_parameters()

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """Logarithm of the inverse temperature of the loss."""
        has_own = isinstance(getattr(self.model, "logit_scale", None), Tensor)
        scale: Tensor = self.model.logit_scale if has_own else self.own_logit_scale
        return scale.reshape(())

    def encode_images(self, images: Float[Tensor, "images ..."]) -> Float[Tensor, "images dim"]:
        """Image vectors of unit length.

        Args:
            images: Output of the model's processor: ``images 3 height width``, or patches of images of any aspect
                ratio, ``images rows values``, as `fico.networks.blocks.patches` packs them.
        """
        if images.ndim == 3:
            patches, mask, shapes = unpack_patches(images)
            output = self.model.get_image_features(
                pixel_values=patches, pixel_attention_mask=mask, spatial_shapes=shapes
            )
        else:
            output = self.model.get_image_features(pixel_values=images)
        return F.normalize(_pooled(output), dim=1)

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts dim"]:
        """Caption vectors of unit length.

        Args:
            texts: Ids with the markers and the padding that the model was trained with, then padded with anything.
            lengths: Ids per caption without the later padding; all when not given.
        """
        mask = torch.ones_like(texts)
        if lengths is not None:
            mask = (torch.arange(texts.shape[1], device=texts.device) < lengths.unsqueeze(1)).long()
        return F.normalize(_pooled(self.model.get_text_features(input_ids=texts, attention_mask=mask)), dim=1)

    def load_released(self, path: Path | str) -> "DualEncoder":
        """Load the weights of a folder or hub name; every name and every shape must match.

        The network keeps its mode: in train mode, dropout is active in the fine-tuning that follows.

        Args:
            path: Folder or hub name, that of ``source``.

        Returns:
            The network itself.

        Raises:
            DataError: A file is missing or damaged, a name or a shape differs, or a weight is NaN or infinite; the
                first ones are named.
        """
        self.model = pretrained_model(path).train(self.training)
        self._select_parameters()
        return self

    def _select_parameters(self) -> None:
        """Freeze what the loss does not depend on, and add a logit scale where the model has none."""
        if not isinstance(getattr(self.model, "logit_scale", None), Tensor):
            self.own_logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        if isinstance(getattr(self.model, "logit_bias", None), nn.Parameter):
            self.model.logit_bias.requires_grad_(False)

    def _check_ids(self, vocab_size: int, source: str | Path | None) -> None:
        rows = self.model.config.get_text_config().vocab_size
        if vocab_size > rows:
            raise DataError(
                f"the tokeniser of {source} gives ids up to {vocab_size - 1}, but the model knows {rows}; use the "
                "tokeniser that belongs to the weights"
            )


def _pooled(output: Any) -> Float[Tensor, "items dim"]:
    """The embedding: transformers 5 returns it as ``pooler_output``, earlier ones as a tensor."""
    values: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return values.float()  # also under autocast
