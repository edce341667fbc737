"""Model folders in the form of transformers, local or from the hub."""

import json
import re
from pathlib import Path
from typing import Any

from fico.errors import DataError, PathError
from fico.networks.checkpoint_io.load import read_checkpoint
from fico.util.optional import requires_extra

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WEIGHT_FILES = (".pth", ".pt", ".bin", ".tar", ".ckpt", ".safetensors")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SMALL_FILES = ("*.json", "*.txt", "*.model")


def released_folder(source: str | Path) -> Path | None:
    """Local folder with config, tokeniser files and weights of a model; a hub name is fetched where needed.

    Args:
        source: A folder, a file, or a hub name such as ``Salesforce/blip2-itm-vit-g-coco``. A hub name is fetched into
            the hub's cache, or read from there; nothing else uses the network.

    Returns:
        The folder; None where ``source`` is a weights file, which comes without config.

    Raises:
        DataError: There is no such file or folder, the folder lacks config or weights, or the hub name is neither in
            the cache nor can it be fetched.
    """
    path = Path(source)
    if path.is_file():
        return None
    if path.is_dir():
        return _complete(path)
    name = path.as_posix()
    if not _HUB_NAME.fullmatch(name) or name.endswith(_WEIGHT_FILES):
        raise PathError(f"there is no weights file or folder {path}; give the path of released weights, or a hub name")
    return _fetched(name)


def read_folder(folder: Path) -> dict[str, Any]:
    """State dict of a folder in the form of transformers, in one file or in several.

    Raises:
        DataError: A file is missing or damaged.
    """
    for name in _WEIGHTS:
        file = folder / name
        if file.is_file() and not name.endswith(".index.json"):
            return read_checkpoint(file)
        if file.is_file():  # a missing part is named by its reader
            parts = dict.fromkeys(json.loads(file.read_text())["weight_map"].values())
            return {key: value for part in parts for key, value in read_checkpoint(folder / part).items()}
    raise DataError(f"there are no weights in {folder}; put {_WEIGHTS[0]} there")


def _complete(folder: Path) -> Path:
    missing = _missing(folder)
    if missing:
        raise DataError(f"{folder} lacks {' and '.join(missing)}; put the files of the released model there")
    return folder


def _missing(folder: Path) -> list[str]:
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in _WEIGHTS):
        missing.append(f"{_WEIGHTS[0]} (or its parts with {_WEIGHTS[1]})")
    return missing


def _fetched(name: str) -> Path:
    """The folder in the hub's cache, downloaded where files are missing; safetensors are preferred."""
    with requires_extra("models"):
        from huggingface_hub import snapshot_download

    reason = "it has no such files"
    for weights, is_cached in (("*.safetensors", True), ("*.bin", True), ("*.safetensors", False), ("*.bin", False)):
        try:
            patterns = [*_SMALL_FILES, weights]
            folder = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=is_cached))
        except (OSError, ValueError) as error:  # offline, no such name: each has a class of its own
            reason = type(error).__name__
            continue
        if not _missing(folder):
            return folder
    raise DataError(
        f"{name} is neither a folder here nor in the hub's cache, and cannot be fetched ({reason}); put config.json, "
        f"vocab.txt or tokenizer.json, and {_WEIGHTS[0]} (or its parts with {_WEIGHTS[1]}) of "
        f"https://huggingface.co/{name} into a folder and give model.weights=FOLDER"
    )
