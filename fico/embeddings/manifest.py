"""The manifest of an embedding store: ids, shapes, origin and digests, without the rows themselves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fico.correspondence import Correspondence
from fico.errors import DataError
from fico.util.atomic import atomic_write, sha256
from fico.util.digests.digest import is_sealed, sealed

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
FILES = {"images": "images.safetensors", "texts": "texts.safetensors"}
COPY_SEPARATOR = "~"  # between an id and the number of its copy


@dataclass(frozen=True, slots=True, eq=False)
class StoredSide:
    """What the manifest says of the rows of one side.

    Args:
        shape: Of the stored array.
        dtype: NumPy's name of it.
        ids: One per row; of a split several times over one per row of the first copy.
    """

    shape: tuple[int, ...]
    dtype: str
    ids: Sequence[str]

    @property
    def nbytes(self) -> int:
        """Bytes of the rows as they are stored."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


def write_manifest(
    folder: Path,
    sides: Mapping[str, StoredSide],
    correspondence: Correspondence,
    *,
    origin: Mapping[str, Any],
    bits: int | None,
    classes: int | None,
    copies: int | None = None,
) -> None:
    """Write the manifest of files that lie in the folder already.

    Args:
        folder: Of the store.
        sides: ``images`` and ``texts``.
        correspondence: Of the first copy.
        origin: Where the embeddings come from.
        bits: Code length; None for floats.
        classes: Number of label columns; None without labels.
        copies: How often ids and correspondence are repeated: copy ``c`` of an item has the id ``<id>~<c>``, from 0.
            None: they are those of all rows.
    """
    stored = sum(side.nbytes for side in sides.values())
    described = {
        name: {
            "file": FILES[name],
            "sha256": sha256(folder / FILES[name]),
            "shape": list(side.shape),
            "dtype": side.dtype,
            "ids": side.ids,
        }
        for name, side in sides.items()
    }
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "origin": dict(origin),
        "bits": bits,
        "packed": bits is not None,
        "stored_bytes": stored,
        "unpacked_bytes": stored if bits is None else bits * sum(side.shape[0] for side in sides.values()),
        "classes": classes,
        **described,
        "caption_to_image": correspondence.caption_to_image.tolist(),
        "positives": correspondence.plain_pairs(),
        "database": None if correspondence.database is None else correspondence.database.tolist(),
    }
    if copies is not None:
        manifest["copies"] = copies
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(sealed(manifest), indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an embedding store, without its arrays, which may be large.

    Raises:
        DataError: It is missing, damaged, changed or of another version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} has no {MANIFEST}; it is not an embedding store, or writing it was interrupted")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged or no manifest of an embedding store; write the store again") from error
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema_version {version}, this release reads {SCHEMA_VERSION}; write the store again"
        )
    is_sealed(manifest, path, "copy it again or repeat the run")
    return dict(manifest)


def stored_ids(manifest: Mapping[str, Any], side: str) -> tuple[str, ...]:
    """The id of every row of a side, of all copies."""
    ids, copies = manifest[side]["ids"], manifest.get("copies")
    return tuple(ids) if copies is None else copied_ids(ids, copies)


def stored_correspondence(manifest: Mapping[str, Any]) -> Correspondence:
    """Which captions and images belong together, of all copies."""
    found = Correspondence.from_plain(manifest["caption_to_image"], manifest.get("positives"))
    if manifest.get("database") is not None:
        found = found.with_database(manifest["database"])
    copies = manifest.get("copies")
    return found if copies is None else copied_correspondence(found, len(manifest["images"]["ids"]), copies)


def copied_ids(ids: Sequence[str], copies: int) -> tuple[str, ...]:
    """Ids of a split several times over: ``<id>~<copy>``, from 0."""
    return tuple(f"{name}{COPY_SEPARATOR}{copy}" for copy in range(copies) for name in ids)


def copied_correspondence(correspondence: Correspondence, images: int, copies: int) -> Correspondence:
    """The correspondence of a split several times over: the captions of a copy belong to its own images."""
    owners = correspondence.caption_to_image
    return Correspondence(np.concatenate([owners + images * copy for copy in range(copies)]))
