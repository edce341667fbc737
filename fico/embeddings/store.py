"""Embeddings on disk: two safetensors files, and a manifest with their origin and checksums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Int64, Shaped
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from fico.codes import HashCodes
from fico.correspondence import Correspondence
from fico.embeddings.manifest import (
    FILES,
    MANIFEST,
    StoredSide,
    read_manifest,
    stored_correspondence,
    stored_ids,
    write_manifest,
)
from fico.embeddings.safetensors_stream import save_tensors
from fico.errors import DataError
from fico.util.arrays import as_numpy
from fico.util.atomic import atomic_write
from fico.util.damaged import readable
from fico.util.digests.digest import check_file

CHECKED_ROWS = 65_536  # rows checked at once, so that mapped ones are never in memory as a whole
NAMED = 3  # ids that an error spells out before it only counts

Embeddings = Tensor | Shaped[np.ndarray, "items dim"]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingStore:
    """Embeddings of both sides with the ids, the correspondence and the labels that an evaluation needs.

    Args:
        images: ``images dim`` floats, or ``images bytes`` packed ``uint8`` codes where ``bits`` is given.
        texts: ``captions dim`` or ``captions bytes``, in the same form.
        image_ids: One per row of ``images``, as the data set names them.
        caption_ids: One per row of ``texts``.
        correspondence: Image row of each caption.
        bits: Code length of hash codes, most significant bit first in each byte; None for floats.
        labels: ``images classes``, multi-hot, where the data set has them.
        text_lengths: Words of each caption, where a pair scorer needs them.
        origin: Where the embeddings come from: model, config hash, dataset, split, fingerprint.
    """

    images: np.ndarray
    texts: np.ndarray
    image_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]
    correspondence: Correspondence
    bits: int | None
    labels: Bool[np.ndarray, "images classes"] | None
    origin: dict[str, Any]
    text_lengths: Int64[np.ndarray, " captions"] | None = None

    @property
    def stored_bytes(self) -> int:
        """Size of the embeddings as they are stored: floats as they are, codes with eight bits in a byte."""
        return int(self.images.nbytes + self.texts.nbytes)

    @property
    def unpacked_bytes(self) -> int:
        """Size with every bit of a code in a byte of its own, as usually stored; of floats their own size."""
        rows = len(self.images) + len(self.texts)
        return self.stored_bytes if self.bits is None else rows * self.bits

    @classmethod
    def write(
        cls,
        folder: Path,
        images: Embeddings,
        texts: Embeddings,
        *,
        image_ids: Sequence[str],
        caption_ids: Sequence[str],
        correspondence: Correspondence,
        origin: Mapping[str, Any],
        bits: int | None = None,
        labels: Bool[np.ndarray, "images classes"] | None = None,
        text_lengths: Tensor | Int64[np.ndarray, " captions"] | None = None,
    ) -> Self:
        """Check the embeddings and write them; the manifest last, so that a broken write leaves no store.

        Args:
            folder: Created if missing; an older store in it is replaced.
            images: ``images dim`` floats, or codes of +1 and -1 (or 1 and 0) where ``bits`` is given; of a pair
                scorer ``images regions dim``.
            texts: ``captions dim``, in the same form; of a pair scorer ``captions words dim``.
            image_ids: One per image, in the order of the rows.
            caption_ids: One per caption.
            correspondence: Image row of each caption.
            origin: Where they come from: ``model`` at least; any other JSON value is kept.
            bits: Code length; the codes are then packed, eight to a byte.
            labels: Multi-hot categories, one row per image.
            text_lengths: Words of each caption, from a pair scorer.

        Returns:
            The store as ``load`` would return it.

        Raises:
            DataError: Counts disagree, a value is NaN or infinite, or a code holds a third value.
        """
        model = str(origin.get("model", "model"))
        store = cls(
            stored_rows(images, image_ids, "image", model, bits),
            stored_rows(texts, caption_ids, "caption", model, bits),
            tuple(map(str, image_ids)),
            tuple(map(str, caption_ids)),
            correspondence,
            bits,
            labels,
            dict(origin),
            None if text_lengths is None else np.asarray(text_lengths),
        )
        store._check()
        folder = Path(folder)
        (folder / MANIFEST).unlink(missing_ok=True)
        tensors = {"images": {"images": store.images}, "texts": {"texts": store.texts}}
        if labels is not None:
            tensors["images"]["labels"] = np.packbits(labels, axis=1)
        if store.text_lengths is not None:
            tensors["texts"]["lengths"] = store.text_lengths
        for side, file in FILES.items():
            with atomic_write(folder / file) as temporary:
                save_tensors(tensors[side], temporary)
        sides = {
            "images": StoredSide(store.images.shape, str(store.images.dtype), store.image_ids),
            "texts": StoredSide(store.texts.shape, str(store.texts.dtype), store.caption_ids),
        }
        classes = None if labels is None else labels.shape[1]
        write_manifest(folder, sides, correspondence, origin=store.origin, bits=bits, classes=classes)
        return store

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a store and check every file against the manifest.

        Raises:
            DataError: The manifest is missing, changed or of another version, a file (named) is missing, truncated
                or changed, or counts disagree.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        with readable(folder / MANIFEST, "write the store again"):
            store = cls._read(folder, manifest)
        store._check()
        return store

    @classmethod
    def _read(cls, folder: Path, manifest: dict[str, Any]) -> Self:
        sides = {side: _read_side(folder, side, manifest) for side in FILES}
        labels = None
        if manifest["classes"] is not None:
            labels = np.unpackbits(sides["images"]["labels"], axis=1, count=manifest["classes"]).astype(bool)
        return cls(
            sides["images"]["images"],
            sides["texts"]["texts"],
            stored_ids(manifest, "images"),
            stored_ids(manifest, "texts"),
            stored_correspondence(manifest),
            manifest["bits"],
            labels,
            manifest["origin"],
            sides["texts"].get("lengths"),
        )

    def _check(self) -> None:
        counted = (("images", self.images, self.image_ids), ("captions", self.texts, self.caption_ids))
        for side, rows, ids in counted:
            if len(rows) != len(ids):
                raise DataError(
                    f"{len(rows)} {side} were embedded, but there are {len(ids)} ids; each row needs its id"
                )
            if len(set(ids)) != len(ids):
                raise DataError(f"the ids of the {side} are not unique; {len(ids) - len(set(ids))} are repeated")
        self.correspondence.check(len(self.images), len(self.texts))
        if self.images.shape[-1] != self.texts.shape[-1]:
            raise DataError(
                f"images have {self.images.shape[-1]} columns, captions {self.texts.shape[-1]}; they must agree"
            )
        if self.labels is not None and len(self.labels) != len(self.images):
            raise DataError(f"there are {len(self.labels)} label rows for {len(self.images)} images; each needs one")


def check_finite(embeddings: Embeddings, ids: Sequence[str], side: str, model: str) -> None:
    """Refuses embeddings with NaN or infinite values.

    Args:
        embeddings: One row per item.
        ids: Name of each row.
        side: ``"image"`` or ``"caption"``, for the message.
        model: Name of the model that encoded them, for the message.

    Raises:
        DataError: A row is not finite; the first ids are named and all are counted.
    """
    rows = _array(embeddings)
    if not np.issubdtype(rows.dtype, np.floating):
        return
    blocks = (rows[start : start + CHECKED_ROWS] for start in range(0, len(rows), CHECKED_ROWS))
    bad = np.flatnonzero(np.concatenate([~np.isfinite(block).reshape(len(block), -1).all(axis=1) for block in blocks]))
    if not len(bad):
        return
    names = ", ".join(str(ids[row]) for row in bad[:NAMED]) + (", ..." if len(bad) > NAMED else "")
    raise DataError(
        f"{model} gave NaN or infinite embeddings for {len(bad)} of {len(rows)} {side}s ({names}); "
        "check these inputs, or train with a lower learning rate or gradient clipping"
    )


def _array(embeddings: Embeddings) -> np.ndarray:
    return as_numpy(embeddings) if isinstance(embeddings, Tensor) else np.asarray(embeddings)


def stored_rows(embeddings: Embeddings, ids: Sequence[str], side: str, model: str, bits: int | None) -> np.ndarray:
    """Rows as they are stored: floats as they are, codes packed.

    Args:
        embeddings: One row per item; of a pair scorer one vector per region or word.
        ids: Name of each row.
        side: ``"image"`` or ``"caption"``, for messages.
        model: Name of the model that encoded them, for messages.
        bits: Code length; None for floats.

    Raises:
        DataError: Another shape or number of rows, a value that is NaN or infinite, or a code with a third value.
    """
    rows = _array(embeddings)
    if rows.ndim not in ((2, 3) if bits is None else (2,)) or not rows.size:
        raise DataError(f"the {side} embeddings have shape {rows.shape}; expected one row per {side}")
    if len(rows) != len(ids):
        raise DataError(f"{len(rows)} {side}s were embedded, but {len(ids)} ids were passed; each row needs its id")
    check_finite(rows, ids, side, model)
    if bits is None:
        return rows
    if rows.shape[1] != bits:
        raise DataError(f"the {side} codes have {rows.shape[1]} bits, but bits is {bits}; pass the length of the codes")
    return HashCodes.of(rows, bits, f"the code of {side}", ids).packed()


def _read_side(folder: Path, side: str, manifest: dict[str, Any]) -> dict[str, np.ndarray]:
    expected = manifest[side]
    path = folder / expected["file"]
    if not path.is_file():
        raise DataError(f"{path} is missing; its manifest lists it; copy the whole folder again")
    check_file(path, expected["sha256"], "copy it again or repeat the run")
    try:
        tensors: dict[str, np.ndarray] = load_file(path)
        rows = tensors[side]
    except (SafetensorError, KeyError) as error:
        raise DataError(f"{path} cannot be read as the {side} of an embedding store: {error}") from error
    if list(rows.shape) != expected["shape"] or str(rows.dtype) != expected["dtype"]:
        raise DataError(
            f"{path} holds {rows.dtype} of shape {list(rows.shape)}, its manifest says "
            f"{expected['dtype']} of shape {expected['shape']}; write the store again"
        )
    return tensors
