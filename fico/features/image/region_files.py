"""Readers of region features in the formats in which others publish them.

Four forms are read: the ``.npy`` of SCAN, VSRN and IMRAM, the ``.tsv`` of bottom-up attention, ``.h5``, and a folder
with one ``.npz`` for each image. Each gives pairs of an image id and its features, ``regions dim``, one at a time.
"""

import base64
import binascii
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fico.errors import DataError
from fico.formats.npz import read_npz
from fico.util.damaged import readable
from fico.util.optional import requires_extra

with requires_extra("data"):
    import h5py

Region = tuple[str, Float32[np.ndarray, "regions dim"]]

_TSV_COLUMNS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_TSV_FIELD_BYTES = 2**26  # one field holds the features of an image; Python's own limit is 2**17
_NPZ_ARRAYS = ("feat", "x", "features")
_H5_TABLES = (("features", "ids"), ("image_features", "image_ids"), ("features", "image_ids"))


def read_npy(path: Path, ids: Sequence[str]) -> Iterator[Region]:
    """Read ``<split>_ims.npy`` (SCAN, VSRN) or ``<split>_feat.npy`` (IMRAM), memory-mapped.

    Some copies hold every image as often as it has captions. Each image is read once.

    Args:
        path: The array, ``rows regions dim``.
        ids: Lines of ``<split>_ids.txt``: one per image, or one per caption with those of an image in a row.

    Raises:
        DataError: The file is no such array, its rows fit neither count of ids, captions of an image are apart,
            or rows of one image differ.
    """
    with readable(path, "fetch it again"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    starts = [at for at, name in enumerate(ids) if at == 0 or name != ids[at - 1]]
    names = [ids[at] for at in starts]
    if len(set(names)) != len(names):
        raise DataError(f"the ids for {path} name an image in two places; captions of an image must follow each other")
    if array.ndim != 3 or len(array) not in (len(names), len(ids)):
        raise DataError(
            f"{path} has shape {array.shape}, but there are {len(names)} images with {len(ids)} ids; "
            "it needs one row per image or per id, each of regions by width"
        )
    is_repeated = len(array) != len(names)
    for number, name in enumerate(names):
        row = starts[number] if is_repeated else number
        end = starts[number + 1] if number + 1 < len(names) else len(ids)
        if is_repeated and not (array[row:end] == array[row]).all():
            raise DataError(f"{path} has different features in the rows {row} to {end - 1}, all of image {name}")
        yield name, np.asarray(array[row], dtype=np.float32)


def read_tsv(path: Path) -> Iterator[Region]:
    """Read the ``.tsv`` of bottom-up attention: one image a line, features as base64 of float32.

    Raises:
        DataError: A line has other columns, or its features do not divide into its number of boxes.
    """
    csv.field_size_limit(_TSV_FIELD_BYTES)
    with readable(path, "fetch it again"), path.open(newline="", encoding="utf-8-sig") as file:
        for line, row in enumerate(csv.DictReader(file, delimiter="\t", fieldnames=_TSV_COLUMNS), start=1):
            try:
                boxes = int(row["num_boxes"])
                values = np.frombuffer(base64.b64decode(row["features"], validate=True), dtype="<f4")
                features = values.reshape(boxes, -1)
            except (TypeError, ValueError, binascii.Error) as error:
                raise DataError(
                    f"{path} is broken in line {line} ({error}); a line holds {', '.join(_TSV_COLUMNS)}"
                ) from error
            yield row["image_id"], features


def read_h5(path: Path) -> Iterator[Region]:
    """Read an HDF5 file: a table ``features`` (or ``image_features``) with its ids, or one array per image id.

    Raises:
        DataError: The file is missing, damaged, or of another form.
    """
    with readable(path, "fetch it again"), h5py.File(path) as file:
        for table, ids in _H5_TABLES:
            if table in file and ids in file:
                names = [name.decode() if isinstance(name, bytes) else str(name) for name in file[ids][:]]
                if len(names) != len(file[table]):
                    raise DataError(f"{path} has {len(file[table])} rows in {table} for {len(names)} {ids}")
                yield from ((name, file[table][row].astype(np.float32)) for row, name in enumerate(names))
                return
        for name, array in file.items():
            if not isinstance(array, h5py.Dataset) or array.ndim != 2:
                raise DataError(
                    f"{path} holds {name}, which is not an array of regions by width; it needs `features` with `ids`, "
                    "or one such array per image id"
                )
            yield name, array[:].astype(np.float32)


def read_npz_folder(folder: Path) -> Iterator[Region]:
    """Read a folder with one ``<image id>.npz`` for each image: its array ``feat``, ``x`` or ``features``.

    Raises:
        DataError: A file is broken or has no such array of regions by width.
    """
    for path in sorted(folder.glob("*.npz")):
        arrays = read_npz(path, "fetch it again", _NPZ_ARRAYS)
        named = next((name for name in _NPZ_ARRAYS if name in arrays), None)
        if named is None:
            raise DataError(f"{path} is not an npz file with an array {', '.join(_NPZ_ARRAYS)}; fetch it again")
        features = arrays[named]
        if features.ndim != 2:
            raise DataError(f"{path} has features of shape {features.shape}; it needs regions by width")
        yield path.stem, features.astype(np.float32)
