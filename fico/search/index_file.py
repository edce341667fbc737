"""Index files: named arrays with a format, a version and settings; whole or refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import DataError
from fico.files import written_whole

VERSION = 1


def write_index(path: Path, kind: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an index under a temporary name and renames it.

    Args:
        path: The file.
        kind: Which searcher it belongs to.
        settings: What JSON can hold.
        arrays: By name; of any type that safetensors knows.
    """
    from safetensors.numpy import save_file

    header = {"format": "fico-index", "version": str(VERSION), "kind": kind, "settings": json.dumps(dict(settings))}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with written_whole(path) as temporary:
        save_file(whole, temporary, header)


def read_index(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads what ``write_index`` wrote.

    Returns:
        Settings and arrays.

    Raises:
        DataError: The file is missing, cut off or foreign, or of another version or searcher.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != "fico-index":
                raise DataError(f"{path} is no index file; save one with the searcher's save(path)")
            if header["version"] != str(VERSION):
                raise DataError(
                    f"{path} is an index file of version {header['version']}, this release reads {VERSION}; "
                    "build the index again"
                )
            if header["kind"] != kind:
                raise DataError(f"{path} holds an index of kind {header['kind']!r}, not {kind!r}; load it as that")
            return json.loads(header["settings"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; save an index there first") from error
    except SafetensorError as error:
        raise DataError(f"{path} is cut off or no index file ({error}); build the index again") from error
