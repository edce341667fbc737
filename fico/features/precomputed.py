"""Precomputed features of a data set: ``features/<kind>.npy`` with the ids of its rows in ``<kind>.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.formats.arrays import check_finite
from fico.formats.text import read_json
from fico.util.damaged import readable
from fico.util.digests.cached import file_digests
from fico.util.digests.digest import is_sealed
from fico.util.disk_errors import map_npy


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Shift and scale of each value of a descriptor, fitted on the training images."""

    mean: Float32[np.ndarray, " dim"]
    deviation: Float32[np.ndarray, " dim"]

    @classmethod
    def fit(cls, rows: Float32[np.ndarray, "*rows dim"]) -> "Scale":
        """Mean and deviation over all rows; a value that never changes gets the deviation 1 and becomes zero."""
        flat = rows.reshape(-1, rows.shape[-1])
        deviation = flat.std(axis=0, dtype=np.float64).astype(np.float32)
        deviation[deviation < 1e-4] = 1
        return cls(flat.mean(axis=0, dtype=np.float64).astype(np.float32), deviation)

    def apply(self, rows: Float32[np.ndarray, "*rows dim"]) -> Float32[np.ndarray, "*rows dim"]:
        """Bring rows to mean 0 and deviation 1 of the training images."""
        scaled: np.ndarray = (rows - self.mean) / self.deviation
        return scaled


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Arrays by split, float32, row by row as in the split, and what made them.

    Args:
        rows: By split.
        origin: What made them, in one sentence.
        is_made: Whether they were made here from images or captions, so that those of a new image or caption can be.
        scale: Of image descriptors that were made here.
        digest: Of precomputed rows and their ids; empty where the origin says all that decides the rows.
    """

    rows: dict[str, np.ndarray]
    origin: str
    is_made: bool = False
    scale: Scale | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class PrecomputedFile:
    """Reads ``features/<kind>.npy``, which must be there, where a model would otherwise take what can be made.

    Args:
        kind: ``vgg19``, ``regions``, ``doc2vec``, or user-supplied.
        side: ``image`` or ``text``, whose ids name the rows.
        axes: Axes of the array, the rows included.
    """

    kind: str
    side: Literal["image", "text"] = "image"
    axes: int = 2

    def check(self, root: Path | None) -> None:
        """Look for the file.

        Args:
            root: The data set's folder.

        Raises:
            DataError: It is not there.
        """
        path = Path(root or "") / "features" / f"{self.kind}.npy"
        if not path.exists():
            raise DataError(
                f"there is no {path}; run `fico features {self.kind} --root {root}` with the --dataset of the run"
            )

    def features(self, root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
        """Give the rows of some splits.

        Args:
            root: The data set's folder.
            splits: By name.
            progress: Not used: the rows are memory-mapped.

        Raises:
            DataError: The file is missing or broken, or has no row for an id.
        """
        self.check(root)
        ids = {n: split.image_ids if self.side == "image" else split.caption_ids for n, split in splits.items()}
        found = read_precomputed(root, self.kind, ids, self.axes)
        assert found is not None
        return found


def read_precomputed(root: Path, kind: str, ids: Mapping[str, Sequence[str]], axes: int) -> Features | None:
    """Read the features of each split from the data set's folder, joined by id.

    Args:
        root: The data set's folder.
        kind: ``vgg19``, ``regions``, ``doc2vec`` or ``bert``.
        ids: Image or caption ids of each split.
        axes: Axes that the array must have, the rows included.

    Returns:
        The features, or None if neither file is there. Rows that follow each other in the file stay
        memory-mapped.

    Raises:
        DataError: One of the two files is missing or broken, ids and rows differ in number, an id occurs twice
            or has no row, or a value is not finite. The ids are named.
    """
    path = root / "features" / f"{kind}.npy"
    if not path.exists() and not path.with_suffix(".json").exists():
        return None
    array, described = _read_array(path, axes), _read_ids(path.with_suffix(".json"))
    digest = _checked_digest(path, described.get("sha256"))
    names = [str(item) for item in described["ids"]]
    row_of = {name: row for row, name in enumerate(names)}
    if len(names) != len(array) or len(row_of) != len(names):
        raise DataError(
            f"{path} has {len(array)} rows for {len(names)} ids ({len(row_of)} distinct) in "
            f"{path.with_suffix('.json').name}; it needs one row per id"
        )
    rows = {split: _join(path, array, row_of, wanted) for split, wanted in ids.items()}
    return Features(rows, str(described.get("origin") or f"precomputed features/{path.name}"), digest=digest)


def _checked_digest(path: Path, stored: str | None) -> str:
    """The digest of rows and ids; of user-supplied rows none is stored that they could differ from."""
    rows, ids = file_digests([path, path.with_suffix(".json")], label=f"Checking {path.name}")
    if stored is not None and rows != stored:
        raise DataError(f"{path} was changed since it was written (its SHA-256 differs); make the features again")
    return f"{rows} {ids}"


def _read_array(path: Path, axes: int) -> np.ndarray:
    with readable(path, "make the features again"):
        array = map_npy(path)
    if array.ndim != axes or not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{path} has shape {array.shape} and dtype {array.dtype}; it needs {axes} axes of floats")
    return array


def _read_ids(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f'{path} is missing; it must list the ids of the rows, as {{"ids": [...], "origin": "..."}}')
    described = read_json(path)
    if not isinstance(described, dict) or not isinstance(described.get("ids"), list):
        raise DataError(f'{path} must be {{"ids": [...], "origin": "..."}}')
    is_sealed(described, path, "make the features again")
    return described


def _join(path: Path, array: np.ndarray, row_of: Mapping[str, int], wanted: Sequence[str]) -> np.ndarray:
    missing = [item for item in wanted if item not in row_of]
    if missing:
        raise DataError(
            f"{path} has no row for {len(missing)} of {len(wanted)} ids, among them {', '.join(missing[:3])}; "
            "make the features of the whole data set"
        )
    rows = np.array([row_of[item] for item in wanted])
    follow_each_other = bool((np.diff(rows) == 1).all())
    joined = array[rows[0] : rows[-1] + 1] if follow_each_other else array[rows]
    check_finite(str(path), joined, wanted)
    return joined.astype(np.float32, copy=False)
