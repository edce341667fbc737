"""File integrity: digests of the bytes of files, and of a JSON object, inside it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fico.errors import DataError
from fico.util.atomic import sha256

DIGEST = "digest"


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of all that a JSON object holds but its ``digest``, in one form: without blanks, keys sorted.

    Returns:
        64 hexadecimal digits; equal for the object that was written and the one that was read back.
    """
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != DIGEST}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the digest of all its other keys under ``digest``, in place of an older one."""
    return {**content, DIGEST: content_digest(content)}


def is_sealed(content: Mapping[str, Any], path: Path, advice: str) -> bool:
    """Whether an object carries a digest, as those of version 0.1 do not.

    Args:
        content: As it was read.
        path: Where from, for the message.
        advice: What to do, for the message.

    Raises:
        DataError: It carries one, and its content has another.
    """
    stored = content.get(DIGEST)
    if stored is None:
        return False
    if stored != content_digest(content):
        raise DataError(f"{path} was changed since it was written (its digest differs); {advice}")
    return True


def arrays_digest(header: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the header of an array file, but its ``digest``, and of named arrays with dtype and shape."""
    digest = hashlib.sha256()
    for key in sorted(header.keys() - {DIGEST}):
        digest.update(f"{key} {header[key]}\n".encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def digests_of(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of those files that are there, by name."""
    return {name: sha256(folder / name) for name in names if (folder / name).is_file()}


def check_file(path: Path, digest: str | None, advice: str) -> None:
    """Refuse a file that is not the one that was written.

    Args:
        path: The file; a missing one is its reader's to report.
        digest: SHA-256 when it was written; None: not known, as of version 0.1.
        advice: What to do, for the message.

    Raises:
        DataError: Its digest differs.
    """
    if digest is not None and path.is_file() and sha256(path) != digest:
        raise DataError(f"{path} was changed since it was written (its SHA-256 differs); {advice}")
