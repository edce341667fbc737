"""Checkpoints of other authors: read without running code, loaded with every name, shape and value checked."""

import argparse
import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fico.errors import DataError, PathError
from fico.util.digests.sidecar import check_digest_file

# What the authors' scripts stored with the tensors: their options and scores. None of it runs code.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")},
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
]
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # under which training loops save weights
_NAMED = 3  # as many names as one sentence can hold


class CodeInCheckpoint(DataError):
    """The file is a pickle of more than weights, so reading it would run its code."""


def read_checkpoint(path: Path | str, *, trust: bool = False) -> dict[str, Any]:
    """Read a checkpoint as plain data: tensors, numbers, strings, lists and dicts.

    Args:
        path: A file of ``torch.save`` (any version) or a ``.safetensors``.
        trust: Also read a pickle that needs code of its own, and run that code.

    Returns:
        The dict that the file holds, tensors on the CPU.

    Raises:
        CodeInCheckpoint: It is a pickle of other objects, and ``trust`` is not set.
        DataError: The file is missing, damaged, not a dict, or needs code that is not installed.
    """
    file = Path(path)
    if not file.is_file():
        raise PathError(f"there is no weights file {file}; give the path of a released checkpoint")
    try:
        if file.suffix == ".safetensors":
            check_digest_file(file)
            return dict(load_file(file))
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle's protocol, which the sentence below says
            checkpoint = torch.load(file, map_location="cpu", weights_only=not trust)
    except (ImportError, AttributeError) as error:
        raise DataError(f"{file} needs code that is not installed ({first_line(error)}); install it first") from error
    except Exception as error:  # torch has many kinds for a file that is none of its own
        if isinstance(error, pickle.UnpicklingError) and not trust:
            raise CodeInCheckpoint(
                f"{file} is not a file of weights alone ({_other_content(error)}); it is not opened, because a pickle "
                "can run code: give the authors' file or a .safetensors, which `fico convert --trust` makes of a "
                "trusted file"
            ) from error
        raise DataError(f"{file} cannot be read as weights ({first_line(error)}); fetch it again") from error
    if not isinstance(checkpoint, dict):
        raise DataError(f"{file} holds a {type(checkpoint).__name__}, not a dict of weights; is it another file?")
    return checkpoint


def _other_content(error: pickle.UnpicklingError) -> str:
    """What a pickle holds besides tensors: the class, or the protocol. PyTorch's own advice is to load it unsafely."""
    text = str(error)
    if named := re.search(r"GLOBAL ([\w.]+)", text):
        return f"it holds a {named[1]}"
    if "Unsupported operand" in text:
        return "its pickle has a protocol above 2, which only running it can read; save it without pickle_protocol="
    return "its pickle is of another form"


def load_strictly(module: nn.Module, state: Mapping[str, Any], path: Path | str) -> None:
    """Load a state dict whose names and shapes are exactly those of the module, and whose values are finite.

    The module keeps its mode: one in train mode is ready for fine-tuning.

    Args:
        module: Takes the weights.
        state: Tensors by name; anything else that a wrong file holds is named as a mismatch.
        path: The checkpoint, for the message.

    Raises:
        DataError: A name is missing, unknown, or has another shape (the first three are named), or a tensor holds NaN
            or infinity.
    """
    expected = module.state_dict()
    mismatches = [f"{name} is missing" for name in expected if name not in state]
    mismatches += [f"{name} is unknown" for name in state if name not in expected]
    mismatches += [
        f"{name} has shape {_shape(state[name])} instead of {_shape(expected[name])}"
        for name in expected
        if name in state and _shape(state[name]) != _shape(expected[name])
    ]
    if mismatches:
        advice = wrapping(state) or "give a checkpoint of this model and of these sizes"
        raise DataError(f"{path} does not fit {type(module).__name__}: {first_few(mismatches)}; {advice}")
    refuse_non_finite(state, path)
    module.load_state_dict(dict(state))


def wrapping(state: Mapping[str, Any]) -> str:
    """How to take the weights out of what a training loop saved around them; empty where it saved them bare.

    Args:
        state: Of `read_checkpoint`, under the names that a network would load.
    """
    take = "give a file of {0}: torch.save({1}, NEW) with state = torch.load(FILE, weights_only=True)"
    if key := next((key for key in _WRAPPERS if isinstance(state.get(key), Mapping)), None):
        return f"the weights lie under {key!r}; " + take.format("these alone", f"state[{key!r}]")
    if state and all(str(name).startswith("module.") for name in state):
        bare = "{name[7:]: value for name, value in state.items()}"
        return "every name begins with 'module.', as DataParallel saves them; " + take.format("bare names", bare)
    return ""


def refuse_non_finite(state: Mapping[str, Any], path: Path | str) -> None:
    """Check that no weight is NaN or infinite, as those of a diverged training are.

    Args:
        state: Tensors by name; other values are passed over.
        path: The checkpoint, for the message.

    Raises:
        DataError: A tensor holds NaN or infinity; the first three are named.
    """
    broken = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all())
    ]
    if broken:
        raise DataError(
            f"{path} holds NaN or infinite weights: {first_few(broken)}; its training diverged: give another checkpoint"
        )


def join_encoders(
    checkpoint: Mapping[str, Any], path: Path | str, *, training_head: str | None = None
) -> dict[str, Any]:
    """Flatten the authors' list of an image and a text encoder into one state dict.

    Args:
        checkpoint: Of `read_checkpoint`: either a dict whose ``model`` lists the state dicts of the image and the
            text encoder, perhaps with ``module.`` before the names, or tensors under our names already.
        path: The checkpoint, for the message.
        training_head: What may follow the encoders in the list; retrieval does not use it.

    Returns:
        Tensors by name, with ``img_enc.`` and ``txt_enc.`` before the authors' names.

    Raises:
        DataError: ``model`` is not a list of these state dicts.
    """
    if "model" not in checkpoint:
        return dict(checkpoint)
    parts = checkpoint["model"]
    is_list = isinstance(parts, list) and all(isinstance(part, Mapping) for part in parts)
    if not is_list or not 2 <= len(parts) <= 2 + bool(training_head):
        count, names = "two", "image encoder, text encoder"
        if training_head is not None:
            count, names = "two or three", f"{names}, {training_head}"
        raise DataError(
            f"{path} has a `model` that is not a list of {count} state dicts ({names}); give a checkpoint of this model"
        )
    return {
        f"{side}.{name.removeprefix('module.')}": value
        for side, part in zip(("img_enc", "txt_enc"), parts, strict=False)
        for name, value in part.items()
    }


def first_few(names: Sequence[str]) -> str:
    """The first three of a list for one sentence, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def first_line(error: Exception) -> str:
    """The first line of another library's message, for the middle of a sentence."""
    return str(error).strip().split("\n")[0].rstrip(".")[:200]


_DIGESTS: WeakKeyDictionary[nn.Module, tuple[tuple[tuple[str, int, int], ...], str]] = WeakKeyDictionary()


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over the names and values of a module's state dict, as the cache key of what the module computes.

    Hashed once for as long as no tensor is written or moved: gigabytes of weights would cost seconds for each file.
    """
    state = sorted(module.state_dict().items())
    is_tracked = not any(value.is_inference() for _, value in state)  # torch counts no writes to inference tensors
    marks = tuple((key, value.data_ptr(), value._version) for key, value in state) if is_tracked else ()
    known = _DIGESTS.get(module)
    if is_tracked and known is not None and known[0] == marks:
        return known[1]
    digest = hashlib.sha256()
    for key, value in state:
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    _DIGESTS[module] = marks, digest.hexdigest()
    return digest.hexdigest()


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None
