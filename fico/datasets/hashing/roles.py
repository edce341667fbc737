"""Which images of a data set are queries, which are the database, and which of those are trained and validated on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from fico.datasets.splits import hash_order
from fico.errors import DataError, PathError, UsageError
from fico.util.damaged import readable

FILES = ("queries", "database", "train", "val")
MOST_VALIDATED = 2000  # as many as UCCH takes of its retrieval set


class Counts(NamedTuple):
    """Published counts of a data set that its own splits do not have."""

    queries: int
    train: int | None


PUBLISHED: Mapping[str, Counts] = {"coco": Counts(5000, None)}
"""By name of the data set; of the others the queries are the test split, and the training split is trained on.

Source:
    UCCH (TPAMI 2023): MS-COCO 122,218 labelled pairs, 5,000 queries, all others are database and training pairs.
"""


@dataclass(frozen=True, slots=True)
class HashingProtocol:
    """How the images of a data set are shared out. Queries are never in the database and never trained on.

    Args:
        queries: Images that are queries, drawn by hashed ids. None takes the published count where the data set has
            one, else the data set's test split.
        train: Images of the database to train and validate on. None takes the data set's training and validation splits
            where the queries are its test split, else the whole database.
        validation: Images out of those that select the best epoch; None takes the data set's validation split or, where
            training images are drawn, a tenth of them, at most 2,000.
        seed: Of what is drawn.
        files: Index files in place of what is drawn, by ``queries``, ``database``, ``train`` and ``val``: a ``.txt``
            with an image id a line, or a ``.npy`` of ids.
    """

    queries: int | None = None
    train: int | None = None
    validation: int | None = None
    seed: int = 0
    files: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("queries", "train", "validation", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if value is not None and (type(value) is not int or value < least):
                raise UsageError(f"dataset.protocol_{name} is {value!r}; give a whole number of at least {least}")
        if unknown := [name for name in self.files or {} if name not in FILES]:
            raise UsageError(f"dataset.protocol_files has {unknown[0]!r}; its keys are {', '.join(FILES)}")
        for name in self.files or {}:
            if getattr(self, "validation" if name == "val" else name, None) is not None:
                raise UsageError(
                    f"dataset.protocol_files.{name} says what protocol_{name} would draw; give one of them"
                )

    def share_out(self, ids: Sequence[str], own: Sequence[str], name: str, root: Path) -> "Roles":
        """The rows of each role, ascending.

        Args:
            ids: Of the labelled images, in the order of the data set.
            own: The data set's own split of each.
            name: Of the data set.
            root: Folder of index files that are not found as they are named.

        Raises:
            UsageError: The counts are more than there are images.
            DataError: An index file is broken, names an unknown image, or a query is in the database or trained on.
        """
        given = {role: _read_rows(Path(file), root, ids) for role, file in (self.files or {}).items()}
        counts = PUBLISHED.get(name) if not given and self.queries is None else None
        drawn = self.queries or (counts.queries if counts else None)
        splits = np.array(own)
        if "queries" in given:
            queries = given["queries"]
        else:
            queries = np.flatnonzero(splits == "test") if drawn is None else self._draw(ids, drawn, "queries")
        database = given.get("database", np.setdiff1d(np.arange(len(ids)), queries))
        is_own = drawn is None and "queries" not in given and self.train is None and "train" not in given
        if is_own:
            trained = np.flatnonzero(np.isin(splits, ("train", "val")))
        else:
            wanted = self.train or (counts.train if counts else None) or len(database)
            trained = (
                given["train"]
                if "train" in given
                else database[self._draw([ids[n] for n in database.tolist()], wanted, "train")]
            )
        if "val" in given:
            validated = given["val"]
        elif is_own and self.validation is None:
            validated = np.flatnonzero(splits == "val")
        else:
            count = self.validation or min(MOST_VALIDATED, len(trained) // 10)
            validated = trained[self._draw([ids[n] for n in trained.tolist()], count, "validation")]
        return _checked(Roles(queries, database, np.setdiff1d(trained, validated), validated), ids)

    def _draw(self, ids: Sequence[str], count: int, what: str) -> Int64[np.ndarray, " rows"]:
        if count > len(ids):
            raise UsageError(
                f"dataset.protocol_{what} is {count}, but there are {len(ids)} labelled images to draw from"
            )
        return np.sort(hash_order(ids, f"hashing {what} {self.seed}")[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """Rows of the labelled images by what they are for, ascending."""

    queries: Int64[np.ndarray, " queries"]
    database: Int64[np.ndarray, " database"]
    train: Int64[np.ndarray, " train"]
    val: Int64[np.ndarray, " val"]


def _checked(roles: Roles, ids: Sequence[str]) -> Roles:
    for name in ("queries", "database", "train", "val"):
        rows = getattr(roles, name)
        if len(rows) == 0:
            raise DataError(
                f"the hashing protocol has no images for {name}; correct dataset.protocol_queries, protocol_train, "
                "protocol_validation or protocol_files"
            )
        if name != "queries" and len(shared := np.intersect1d(rows, roles.queries)):
            raise DataError(
                f"image {ids[shared[0]]!r} is a query and in {name} ({len(shared)} such images); queries must be in "
                "neither the database nor the training"
            )
    return roles


def _read_rows(file: Path, root: Path, ids: Sequence[str]) -> Int64[np.ndarray, " rows"]:
    path = file.expanduser()
    path = path if path.is_file() else root / path
    if not path.is_file():
        raise PathError(f"there is no index file {file}; give a .txt with an image id a line, or a .npy of ids")
    with readable(path, "give a .txt with an image id a line, or a .npy of ids"):
        if path.suffix == ".npy":
            names = [str(item) for item in np.load(path, allow_pickle=False).ravel().tolist()]
        else:
            names = path.read_text(encoding="utf-8-sig").split("\n")
    names = [name.strip() for name in names if name.strip()]
    row_of = {item: row for row, item in enumerate(ids)}
    unknown = [name for name in names if name not in row_of]
    if unknown:
        raise DataError(
            f"{path} names image {unknown[0]!r}, which the data set has not, or has without a label ({len(unknown)} of "
            f"{len(names)} such lines)"
        )
    if len(set(names)) != len(names):
        raise DataError(f"{path} names {len(names) - len(set(names))} images twice; name each once")
    return np.sort(np.array([row_of[name] for name in names], dtype=np.int64))
