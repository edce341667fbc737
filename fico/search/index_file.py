"""Index files: named arrays with a format, a version, settings and a checksum; whole or refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import DataError, PathError
from fico.util.atomic import atomic_write
from fico.util.damaged import readable
from fico.util.digests.digest import DIGEST, arrays_digest
from fico.util.resources import require_disk

VERSION = 4
_READ = ("3", "4")  # 3 had no ids and no removed items

Settings = dict[str, Any]
Arrays = dict[str, np.ndarray]


def write_index(path: Path, kind: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an index under a temporary name and renames it.

    Args:
        path: The file.
        kind: Which searcher it belongs to.
        settings: What JSON can hold.
        arrays: By name; of any type that safetensors knows.

    Raises:
        UsageError: The disk is short (the predicted size is named).
    """
    from safetensors.numpy import save_file

    require_disk(path, sum(array.nbytes for array in arrays.values()), f"an index of kind {kind}")
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {
        "format": "fico-index",
        "version": str(VERSION),
        "kind": kind,
        "settings": json.dumps(dict(settings)),
    }
    header[DIGEST] = arrays_digest(header, whole)
    with atomic_write(path) as temporary:
        save_file(whole, temporary, header)


def read_index(path: Path, kind: str) -> tuple[Settings, Arrays]:
    """Reads what ``write_index`` wrote.

    Returns:
        Settings and arrays.

    Raises:
        DataError: The file is missing, cut off, changed or foreign, or of another version or searcher.
    """
    header, arrays = _read(path, with_arrays=True)
    if header.get("kind") != kind:
        raise DataError(f"{path} holds an index of kind {header.get('kind')!r}, not {kind!r}; load it as that")
    if not _is_whole(header, arrays):
        raise DataError(f"{path} was changed since it was written (its checksum differs); build the index again")
    with readable(path, "build the index again"):
        return dict(json.loads(header["settings"])), arrays


def index_kind(path: Path) -> str:
    """Which searcher an index file belongs to.

    Raises:
        DataError: The file is missing, cut off or foreign, or of another version.
    """
    return _read(path, with_arrays=False)[0].get("kind", "")


def _read(path: Path, with_arrays: bool) -> tuple[dict[str, str], Arrays]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != "fico-index":
                raise DataError(f"{path} is not an index file; save one with the searcher's save(path)")
            if header.get("version") not in _READ:
                raise DataError(
                    f"{path} is an index file of version {header.get('version')}, this release reads "
                    f"{' and '.join(_READ)}; build the index again"
                )
            names = file.keys() if with_arrays else []
            return header, {name: file.get_tensor(name) for name in names}
    except DataError:
        raise
    except FileNotFoundError as error:
        raise PathError(f"{path} does not exist; save an index there first") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is cut off or no index file ({error}); build the index again") from error


def index_digest(path: Path) -> str | None:
    """The digest that an index file carries, which `read_index` compares with its content; None of version 0.1.

    Raises:
        DataError: The file is missing, cut off or foreign, or of another version.
    """
    return _read(path, with_arrays=False)[0].get(DIGEST)


def _is_whole(header: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether header and arrays are those that were written; version 0.1 kept a digest of the arrays alone."""
    if DIGEST in header:
        return arrays_digest(header, arrays) == header[DIGEST]
    return arrays_digest({}, arrays) == header.get("sha256")
