"""The Wikipedia set of cross-modal retrieval: pairs of an image's and a text's features, with ten classes."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from fico.correspondence import Correspondence
from fico.datasets.base import RetrievalSplit, SplitReader, check_validation
from fico.datasets.feature_sets.standardise import standardised
from fico.datasets.splits import hash_order
from fico.errors import DataError, PathError
from fico.formats.npz import read_npz

FILE = "wikipedia_2866.npz"
SALT = "validation"  # of the hashes that choose the validation pairs; another salt would choose others
SIDES = {"global": "image", "doc2vec": "text"}


class Wikipedia(SplitReader):
    """2,866 pairs from featured articles of Wikipedia, of one class each: 2,173 to train on, 693 to test on.

    There are neither image files nor words, only features: a 128-D bag of SIFT words of each image and the weights of
    10 LDA topics of each text. Each value is shifted and scaled to mean 0 and deviation 1 over the training pairs.
    A text's id stands for its words.

    The file has no validation pairs. They are cut off its training part: of every class the same fraction, namely the
    pairs whose hashed image id is smallest, so that they are the same everywhere and for every seed.

    Args:
        root: ``wikipedia_2866.npz`` or its folder.
        validation: Fraction of the training part that becomes the split ``val``, 0 up to but not 1; 0 trains on all.
        name: Name of the data set in results.

    Raises:
        UsageError: ``validation`` is outside its range.
        DataError: There is no such file.

    Source:
        Rasiwasia et al., ACM MM 2010; features as passed on in ``wikipedia_2866.npz``, with arrays ``image_*``,
        ``text_*``, ``label_*``, ``image_id_*`` and ``text_id_*`` (``train`` and ``test``) and ``class_names``.
    """

    feature_origins: Mapping[str, str] = {
        "global": "128-D bags of SIFT words that come with the data set, standardised on train",
        "doc2vec": "proportions of 10 LDA topics that come with the data set, standardised on train",
    }

    def __init__(self, root: str | Path, validation: float = 0.1, name: str = "wikipedia") -> None:
        check_validation(validation)
        path = Path(root).expanduser()
        self.path = path / FILE if path.is_dir() else path
        if not self.path.is_file():
            raise PathError(f"there is no {self.path}; set dataset.root to {FILE} or to the folder that holds it")
        super().__init__(self.path.parent, name)
        self.validation = validation

    def features(self, split: str, kind: str) -> Float32[np.ndarray, "items dim"]:
        """Give the features of one side, row by row as in the split.

        Args:
            split: ``train``, ``val`` or ``test``.
            kind: ``global`` for the images, ``doc2vec`` for the texts.

        Raises:
            DataError: As for `split`.
        """
        train = self._arrays[f"{SIDES[kind]}_train"][self._rows("train")].astype(np.float64)
        return standardised(self._arrays[f"{SIDES[kind]}_{_part(split)}"][self._rows(split)], train)

    @cached_property
    def _arrays(self) -> Mapping[str, np.ndarray]:
        return _read(self.path)

    @cached_property
    def _validation_rows(self) -> Int64[np.ndarray, " rows"]:
        """Rows of the training part, ascending."""
        ids, labels = self._arrays["image_id_train"], self._arrays["label_train"]
        chosen: list[int] = []
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            order = hash_order([ids[row] for row in rows], SALT)
            chosen += rows[order[: round(self.validation * len(rows))]].tolist()
        return np.array(sorted(chosen), dtype=np.int64)

    def _rows(self, split: str) -> Int64[np.ndarray, " rows"]:
        """Rows of a split in its part of the file, in the order of the file."""
        if split == "val":
            return self._validation_rows
        every = np.arange(len(self._arrays[f"label_{_part(split)}"]))
        return np.setdiff1d(every, self._validation_rows) if split == "train" else every

    def _read_split(self, name: str) -> RetrievalSplit:
        part, rows = _part(name), self._rows(name)
        if len(rows) == 0:
            raise DataError(
                f"split {name!r} of {self.path} has no pairs, as dataset.validation is {self.validation}; "
                "raise it, or leave out what needs this split"
            )
        image_ids, text_ids = (
            tuple(str(item) for item in self._arrays[f"{side}_id_{part}"][rows]) for side in ("image", "text")
        )
        classes = tuple(str(item) for item in self._arrays["class_names"])
        labels = np.eye(len(classes), dtype=bool)[self._arrays[f"label_{part}"][rows]]
        digest = hashlib.sha256(json.dumps([image_ids, text_ids, classes]).encode())
        for kind in self.feature_origins:  # standardised, so that they also say what the scale was taken from
            digest.update(self.features(name, kind).tobytes())
        digest.update(np.packbits(labels, axis=1).tobytes())
        return RetrievalSplit(
            dataset=self.name,
            name=name,
            image_ids=image_ids,
            image_paths=tuple(self.root / f"{item}.jpg" for item in image_ids),  # none is there
            caption_ids=text_ids,
            captions=text_ids,
            tokens=((),) * len(text_ids),
            correspondence=Correspondence(np.arange(len(text_ids))),
            labels=labels,
            classes=classes,
            fingerprint=digest.hexdigest(),
        )


def _part(split: str) -> str:
    parts = {"train": "train", "val": "train", "test": "test"}
    if split not in parts:
        raise DataError(f"the Wikipedia data set has no split {split!r}; it has {', '.join(parts)}")
    return parts[split]


def _read(path: Path) -> Mapping[str, np.ndarray]:
    arrays = read_npz(path, "fetch it again")
    kinds = ("image", "text", "label", "image_id", "text_id")
    wanted = ["class_names", *(f"{kind}_{part}" for part in ("train", "test") for kind in kinds)]
    if missing := [name for name in wanted if name not in arrays]:
        raise DataError(f"{path} has no array {missing[0]!r}, only {sorted(arrays)}; give {FILE}")
    for part in ("train", "test"):
        _check(path, arrays, part, [f"{kind}_{part}" for kind in kinds])
    return arrays


def _check(path: Path, arrays: Mapping[str, np.ndarray], part: str, names: list[str]) -> None:
    rows = {name: len(arrays[name]) for name in names}
    if len(set(rows.values())) > 1:
        raise DataError(f"{path} is not a set of pairs: its {part} arrays have {rows} rows; fetch it again")
    labels = arrays[f"label_{part}"]
    if not np.isin(labels, np.arange(len(arrays["class_names"]))).all():
        raise DataError(f"{path} has a label_{part} that is not a number of a class; fetch it again")
    for side in SIDES.values():
        values = arrays[f"{side}_{part}"]
        if values.shape[1:] != arrays[f"{side}_train"].shape[1:] or not np.isfinite(values).all():
            raise DataError(
                f"{path} has a {side}_{part} of another width than {side}_train or with values that are not finite "
                "numbers; fetch it again"
            )
        ids = arrays[f"{side}_id_{part}"]
        if len(np.unique(ids)) != len(ids):
            raise DataError(f"{path} holds an id twice in {side}_id_{part}; ids must be unique")
