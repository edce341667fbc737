"""Reading weights that others released: safely, and with every key accounted for."""

import argparse
import hashlib
import pickle
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fico.errors import DataError

# What the authors' scripts stored beside the tensors: their options and scores. None of it runs code.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")},
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
]
_NAMED_KEYS = 3  # as many keys as one sentence can hold


class CodeInCheckpoint(DataError):
    """The file is a pickle that asks for more than weights, so reading it would run its code."""


def read_checkpoint(path: Path | str, *, trust: bool = False) -> dict[str, Any]:
    """Read a checkpoint as plain data: tensors, numbers, strings, lists and dicts.

    Args:
        path: A file of ``torch.save`` (any version) or a ``.safetensors``.
        trust: Also read a pickle that asks for code, and run that code.

    Returns:
        The dict that the file holds, tensors on the CPU.

    Raises:
        CodeInCheckpoint: It is a pickle that asks for other objects, and ``trust`` is not given.
        DataError: The file is missing, damaged, not a dict, or asks for code that is not installed.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"there is no weights file {file}; give the path of a released checkpoint")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        with torch.serialization.safe_globals(_HARMLESS):
            checkpoint = torch.load(file, map_location="cpu", weights_only=not trust)
    except (ImportError, AttributeError) as error:
        raise DataError(f"{file} asks for code that is not here ({_first_line(error)}); install it first") from error
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, pickle.UnpicklingError) and not trust:
            raise CodeInCheckpoint(
                f"{file} is not a file of weights alone ({_first_line(error)}); it is not opened, because a pickle "
                "can run code: give the authors' file or a .safetensors, which `fico convert --trust` makes of a "
                "trusted file"
            ) from error
        raise DataError(f"{file} cannot be read as weights ({_first_line(error)}); fetch it again") from error
    if not isinstance(checkpoint, dict):
        raise DataError(f"{file} holds a {type(checkpoint).__name__}, not a dict of weights; is it another file?")
    return checkpoint


def load_strictly(module: nn.Module, state: Mapping[str, Any], path: Path | str) -> None:
    """Put weights into a module if names and shapes are the same on both sides.

    Args:
        module: Takes the weights.
        state: Tensors by name; what else a wrong file holds is named as a fault.
        path: Where they come from, for the message.

    Raises:
        DataError: A name is missing, unknown, or has another shape; the first three are named.
    """
    own = module.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [f"{name} is unknown" for name in state if name not in own]
    faults += [
        f"{name} has shape {_shape(state[name])} instead of {_shape(own[name])}"
        for name in own
        if name in state and _shape(state[name]) != _shape(own[name])
    ]
    if faults:
        more = f" and {len(faults) - _NAMED_KEYS} more" if len(faults) > _NAMED_KEYS else ""
        raise DataError(
            f"{path} does not fit {type(module).__name__}: {', '.join(islice(faults, _NAMED_KEYS))}{more}; "
            "give a checkpoint of this model and of these sizes"
        )
    module.load_state_dict(dict(state))


def join_encoders(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Bring the authors' list of two encoders to our flat names.

    Args:
        checkpoint: Of `read_checkpoint`: either a dict whose ``model`` lists the state dicts of the image and the
            text encoder, perhaps with ``module.`` before the names, or tensors under our names already.
        path: Where it comes from, for the message.

    Returns:
        Tensors by name, with ``img_enc.`` and ``txt_enc.`` before the authors' names.

    Raises:
        DataError: ``model`` is no list of two state dicts.
    """
    if "model" not in checkpoint:
        return dict(checkpoint)
    parts = checkpoint["model"]
    if not isinstance(parts, list) or len(parts) != 2:  # image and text encoder
        raise DataError(
            f"{path} has a `model` that is no list of two state dicts (image encoder, text encoder); "
            "give a checkpoint of this model"
        )
    return {
        f"{side}.{name.removeprefix('module.')}": value
        for side, part in zip(("img_enc", "txt_enc"), parts, strict=True)
        for name, value in part.items()
    }


def check_vocabulary(state: Mapping[str, Any], words: int, path: Path | str) -> None:
    """Compare the rows of the word embedding with the vocabulary that was given.

    Args:
        state: Tensors under our names.
        words: Size of the vocabulary, the four markers counted.
        path: Where the tensors come from, for the message.

    Raises:
        DataError: The sizes differ; both are named.
    """
    name = "txt_enc.embed.weight"
    if name in state and len(state[name]) != words:
        raise DataError(
            f"{path} was trained with a vocabulary of {len(state[name])} words, but the one given has {words}; "
            "give the vocabulary that belongs to the checkpoint"
        )


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights and their names, so that nothing made with other weights is taken for the same."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:200]
