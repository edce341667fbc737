"""Any dual encoder of transformers: CLIP, SigLIP, SigLIP 2 and others with an image and a text side."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.blocks.patches import unpacked_patches
from fico.networks.checkpoint_io.model_folder import model_folder
from fico.util.optional import requires_extra

_NAMED_KEYS = 3  # as many keys as one sentence can hold
_FEATURES = ("get_image_features", "get_text_features")


class DualEncoder(nn.Module):
    """Both sides in one space of unit vectors, compared by cosine.

    Args:
        source: Folder in the form of transformers or hub name, which decides the architecture. Without it a CLIP of the
            sizes below, from scratch.
        vocab_size: Ids that the tokeniser can give.
        image_size: Side of the square images of the CLIP from scratch, in pixels; else the processor decides.
        patch_size: Side of a patch, in pixels.
        dim: Width of the states of both sides and of the embeddings.
        layers: Layers of each side.
        heads: Attention heads.
        text_rows: Rows of the text position table.
        end_id: Id of the end marker, whose state is the caption's.

    Raises:
        DataError: The folder holds another kind of model, or one that knows fewer ids than the tokeniser can give.

    Source:
        Radford et al., ICML 2021 (CLIP); Zhai et al., ICCV 2023 (SigLIP); Tschannen et al. 2025 (SigLIP 2); their
        ports in transformers.

    Differs:
        SigLIP's score is a sigmoid of the scaled and shifted cosine, which orders as the cosine does. When it is
        trained here, its loss is CLIP's, which needs no shift.
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
            self.model = _clip(sizes | text | {"bos_token_id": 0, "pad_token_id": 0}, sizes | vision, dim)
        else:
            self.model = _from_folder(source)
        self._check_ids(vocab_size, source)
        self._prepare()

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """Logarithm of the inverse temperature of the loss."""
        has_own = isinstance(getattr(self.model, "logit_scale", None), Tensor)
        scale: Tensor = self.model.logit_scale if has_own else self.own_logit_scale
        return scale.reshape(())

    def encode_images(self, images: Float[Tensor, "images ..."]) -> Float[Tensor, "images dim"]:
        """Image vectors of unit length.

        Args:
            images: What the model's processor gives: ``images 3 height width``, or packed patches of images of any
                aspect, ``images rows values``, as `fico.networks.blocks.patches` packs them.
        """
        if images.ndim == 3:
            patches, mask, shapes = unpacked_patches(images)
            found = self.model.get_image_features(
                pixel_values=patches, pixel_attention_mask=mask, spatial_shapes=shapes
            )
        else:
            found = self.model.get_image_features(pixel_values=images)
        return F.normalize(_pooled(found), dim=1)

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts dim"]:
        """Caption vectors of unit length.

        Args:
            texts: Ids with the markers and the padding that the model was trained with, then padded with anything.
            lengths: Ids per caption that are the model's; all when not given.
        """
        mask = torch.ones_like(texts)
        if lengths is not None:
            mask = (torch.arange(texts.shape[1], device=texts.device) < lengths.unsqueeze(1)).long()
        return F.normalize(_pooled(self.model.get_text_features(input_ids=texts, attention_mask=mask)), dim=1)

    def load_released(self, path: Path | str) -> "DualEncoder":
        """Load the weights of a folder or hub name; every name and every shape must fit.

        Args:
            path: Folder or hub name, the same that was given as ``source``.

        Returns:
            The network itself.

        Raises:
            DataError: A file is missing or damaged, or a name or a shape differs; the first ones are named.
        """
        self.model = _weights(model_folder(path))
        self._prepare()
        return self

    def _prepare(self) -> None:
        """Leave out of training what the loss does not reach, and give a scale where the model has none."""
        if not isinstance(getattr(self.model, "logit_scale", None), Tensor):
            self.own_logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        if isinstance(getattr(self.model, "logit_bias", None), nn.Parameter):
            self.model.logit_bias.requires_grad_(False)

    def _check_ids(self, vocab_size: int, source: str | Path | None) -> None:
        rows = self.model.config.get_text_config().vocab_size
        if vocab_size > rows:
            raise DataError(
                f"the tokeniser of {source} gives ids up to {vocab_size - 1}, but the model knows {rows}; give the "
                "tokeniser that belongs to the weights"
            )


def _clip(text: dict[str, Any], vision: dict[str, Any], dim: int) -> nn.Module:
    with requires_extra("models"):
        from transformers import CLIPConfig, CLIPModel

    with _quiet():
        model: nn.Module = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))
    return model


def _from_folder(source: str | Path) -> nn.Module:
    """The architecture alone, with random weights."""
    with requires_extra("models"):
        from transformers import AutoConfig, AutoModel

    folder = model_folder(source)
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(folder)
            model: nn.Module = AutoModel.from_config(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no model that can be built ({_first_line(error)}); give a CLIP or SigLIP"
        ) from error
    missing = [name for name in _FEATURES if not hasattr(model, name)]
    if missing:
        raise DataError(
            f"{folder} holds a {config.model_type}, which is no dual encoder (it has no {missing[0]}); give a CLIP, a "
            "SigLIP or another that embeds images and texts apart"
        )
    return model


def _weights(folder: Path) -> nn.Module:
    with requires_extra("models"):
        from transformers import AutoModel

    try:
        with _quiet():
            model, told = AutoModel.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"the weights in {folder} cannot be read ({_first_line(error)}); fetch them again") from error
    faults = [f"{name} is missing" for name in sorted(told["missing_keys"])]
    faults += [f"{name} is unknown" for name in sorted(told["unexpected_keys"])]
    faults += [
        f"{name} has shape {tuple(got)} instead of {tuple(wanted)}"
        for name, got, wanted in sorted(told["mismatched_keys"])
    ]
    if faults:
        more = f" and {len(faults) - _NAMED_KEYS} more" if len(faults) > _NAMED_KEYS else ""
        raise DataError(
            f"the weights in {folder} do not fit its config: {', '.join(islice(faults, _NAMED_KEYS))}{more}; "
            "give the whole folder of one model"
        )
    loaded: nn.Module = model
    return loaded


def _pooled(found: Any) -> Float[Tensor, "items dim"]:
    """The embedding; transformers 5 gives it as the pooled output, others as it is."""
    values: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return values.float()  # of matrix products in half precision too


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's reports and bars: what is wrong is told as our own error."""
    with requires_extra("models"):
        from transformers.utils import logging

    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:200]
