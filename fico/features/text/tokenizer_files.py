"""The file of a tokeniser: by its path, a folder that holds it, or the name of a model on the hub."""

import re
from pathlib import Path

from fico.errors import DataError, PathError
from fico.util.optional import requires_extra

_HUB_NAME = re.compile(r"[\w.\-]+/[\w.\-]+")


def find_file(source: str | Path, name: str, key: str) -> Path:
    """Give the path of a tokeniser's file.

    Args:
        source: A file, a folder, or a hub name (``owner/model``); of a hub name the cached copy, or else one is
            fetched.
        name: The file's name in a folder or on the hub.
        key: The config's key for it, for the message.

    Raises:
        DataError: There is no such file, and it is no hub name or cannot be fetched.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / name
    if path.is_file():
        return path
    if not _HUB_NAME.fullmatch(str(source)):
        raise PathError(f"there is no tokeniser file {path}; give {key}=FILE, the {name} that belongs to the weights")
    with requires_extra("models"):
        from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(str(source), name))
    except Exception as error:  # offline, no such model, no such file: each has a class of its own
        raise DataError(
            f"{name} of {source} is neither in the cache nor can it be fetched ({type(error).__name__}); place the "
            f"file anywhere and give {key}=FILE"
        ) from error
