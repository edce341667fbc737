"""Dual encoders of transformers, built from a config or loaded from a folder with every name and shape checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fico.errors import DataError
from fico.networks.checkpoint_io.load import first_few, first_line, refuse_non_finite
from fico.networks.checkpoint_io.model_folder import model_folder
from fico.util.optional import requires_extra

_ENCODERS = ("get_image_features", "get_text_features")


def clip_from_scratch(text: dict[str, Any], vision: dict[str, Any], dim: int) -> nn.Module:
    """A CLIP with random weights.

    Args:
        text: Sizes of the text encoder, as of transformers' ``CLIPTextConfig``.
        vision: Sizes of the image encoder, as in ``CLIPVisionConfig``.
        dim: Width of the embeddings.
    """
    with requires_extra("models"):
        from transformers import CLIPConfig, CLIPModel

    with _quiet():
        model: nn.Module = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))
    return model


def model_from_config(source: str | Path) -> nn.Module:
    """The architecture of a folder or hub name, with random weights.

    Raises:
        DataError: It holds no model that can be built, or one that is not a dual encoder.
    """
    with requires_extra("models"):
        from transformers import AutoConfig, AutoModel

    folder = model_folder(source)
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(folder)
            model: nn.Module = AutoModel.from_config(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} holds no model that can be built ({first_line(error)}); give a CLIP or SigLIP"
        ) from error
    missing = [name for name in _ENCODERS if not hasattr(model, name)]
    if missing:
        raise DataError(
            f"{folder} holds a {config.model_type}, not a dual encoder (it has no {missing[0]}); give a CLIP, a "
            "SigLIP or another that embeds images and texts apart"
        )
    return model


def pretrained_model(source: str | Path) -> nn.Module:
    """The model of a folder or hub name with its weights, in eval mode, as transformers returns it.

    Raises:
        DataError: A file is missing or damaged, a name or a shape differs from the config's, or a weight is NaN or
            infinite; the first ones are named.
    """
    with requires_extra("models"):
        from transformers import AutoModel

    folder = model_folder(source)
    try:
        with _quiet():
            model, info = AutoModel.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"the weights in {folder} cannot be read ({first_line(error)}); fetch them again") from error
    mismatches = [f"{name} is missing" for name in sorted(info["missing_keys"])]
    mismatches += [f"{name} is unknown" for name in sorted(info["unexpected_keys"])]
    mismatches += [
        f"{name} has shape {tuple(stored)} instead of {tuple(expected)}"
        for name, stored, expected in sorted(info["mismatched_keys"])
    ]
    if mismatches:
        raise DataError(
            f"the weights in {folder} do not fit its config: {first_few(mismatches)}; "
            "give the whole folder of one model"
        )
    refuse_non_finite(dict(model.named_parameters()), folder)
    loaded: nn.Module = model
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own reports and progress bars: problems are raised as our errors."""
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
