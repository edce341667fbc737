"""Any pairs of image and text features in array files, with the splits of the hashing literature."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Int64

from fico.correspondence import Correspondence
from fico.datasets.base import RetrievalSplit, SplitReader, check_validation
from fico.datasets.feature_sets.arrays import Arrays, Files, read_arrays
from fico.datasets.feature_sets.fingerprint import fingerprint
from fico.datasets.feature_sets.standardise import standardised
from fico.datasets.splits import hash_order
from fico.errors import DataError, PathError, UsageError
from fico.formats.arrays import check_finite

Order = Literal["random", "first", "last"]
SPLITS = ("train", "val", "test", "rest")


class FeatureFiles(SplitReader):
    """Image vectors, text vectors and labels from ``.npz``, ``.mat`` (any version), ``.h5`` and other array files.

    Either the files hold all pairs, and ``queries`` of them become the split ``test``, or they hold each split:
    ``{train: FILE:KEY, test: FILE:KEY}``. Of the training pairs a fraction becomes ``val``. What is drawn is drawn by
    hashed ids, so that the same pairs come out however the file is sorted, if it has ids.

    Args:
        root: Folder of the files.
        image_features: ``FILE`` or ``FILE:KEY`` below it: one vector an image, or pictures (``IAll``), of which the
            fixed descriptors of `fico.images.descriptors` are made; or one such by split.
        text_features: The same for the texts: bags of words, tags, Doc2Vec. Its id stands in for the words.
        labels: The same for 0/1 labels, one row an image, or for numbers of classes, one an image.
        image_ids: The same for numbers as ids, or a ``.txt`` with one id a line; default: row numbers.
        caption_to_image: The same for the image row of each text; default: row ``i`` belongs to row ``i``.
        items: How many images there are in all; says which axis of a matrix counts them.
        queries: Images of the split ``test``; must not be given where the files hold each split.
        train: Images to train and validate on; default: all that are not in ``test``.
        order: Which images are ``test``: ``random`` ones, the ``first`` or the ``last`` of the file.
        seed: Of what is drawn.
        validation: Fraction of the training images that becomes ``val``.
        standardise: Shift and scale each value to mean 0 and deviation 1 over the training rows.
        expected: Images that each split must have; splits not named are not checked.
        name: Name of the data set in results.

    Raises:
        UsageError: A value is out of its range, or both ways of splitting are mixed.
        DataError: The folder is missing.

    Differs:
        In that literature queries search a database of all other pairs. Here, as for every data set of this bench, the
        two sides of the split ``test`` search each other; the queries and the database of the papers are made by
        `fico.datasets.hashing.protocol_splits.hashing_splits`.
    """

    feature_origins: Mapping[str, str] = {
        "global": "image vectors that come with the data set",
        "doc2vec": "text vectors that come with the data set",
    }

    def __init__(
        self,
        root: str | Path,
        image_features: Files,
        text_features: Files,
        labels: Files | None = None,
        image_ids: Files | None = None,
        caption_to_image: Files | None = None,
        items: int | None = None,
        queries: int | None = None,
        train: int | None = None,
        order: Order = "random",
        seed: int = 0,
        validation: float = 0.1,
        standardise: bool = False,
        expected: Mapping[str, int] | None = None,
        name: str = "features",
    ) -> None:
        super().__init__(Path(root).expanduser(), name)
        if not self.root.is_dir():
            raise PathError(f"there is no folder {self.root}; set dataset.root to the folder of the feature files")
        if order not in get_args(Order):
            raise UsageError(f"dataset.order is {order!r}; give {', '.join(get_args(Order))}")
        check_validation(validation)
        is_split = not isinstance(image_features, str)
        if is_split == (queries is not None):
            raise UsageError(
                "dataset.queries must be given where dataset.image_features is one file, and only there: it says how "
                "many images are tested"
            )
        self.files: dict[str, Files | None] = {
            "images": image_features,
            "texts": text_features,
            "labels": labels,
            "image_ids": image_ids,
            "rows": caption_to_image,
        }
        self.items, self.queries, self.train = items, queries, train
        self.order, self.seed, self.validation, self.is_standardised = order, seed, validation, standardise
        self.expected = dict(expected or {})
        how = ", standardised on train" if standardise else ""
        self.feature_origins = {
            "global": f"{_listed(image_features)}, image vectors that come with the data set{how}",
            "doc2vec": f"{_listed(text_features)}, text vectors that come with the data set{how}",
        }

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that hold images; ``rest`` are those that are neither trained on, validated nor tested on."""
        return tuple(name for name in SPLITS if len(self._rows(name)))

    def features(self, split: str, kind: str) -> Float32[np.ndarray, "items dim"]:
        """Give the features of one side, row by row as in the split.

        Args:
            split: ``train``, ``val`` or ``test``.
            kind: ``global`` for the images, ``doc2vec`` for the texts.

        Raises:
            UsageError: As for `split`.
            DataError: As for `split`, or values are not finite, and the ids are named.
        """
        found = self.split(split)
        values = self._side(split, kind)
        check_finite(
            f"the {kind} features of {self.root}", values, found.image_ids if kind == "global" else found.caption_ids
        )
        return standardised(values, self._side("train", kind)) if self.is_standardised else values

    def _side(self, split: str, kind: str) -> Float32[np.ndarray, "items dim"]:
        arrays, rows = self._arrays[self._part(split)], self._rows(split)
        source = arrays.images if kind == "global" else arrays.texts
        values: Float32[np.ndarray, "items dim"] = source[
            rows if kind == "global" else self._text_rows(arrays, rows)
        ].astype(np.float32)
        return values

    @cached_property
    def _arrays(self) -> dict[str, Arrays]:
        """By part of the files: one for all where they are not split, else ``train``, ``test`` and perhaps ``val``."""
        return read_arrays(self.root, self.files, self.items)

    def _part(self, split: str) -> str:
        if split not in SPLITS:
            raise DataError(f"the data set {self.name} has no split {split!r}; it has {', '.join(SPLITS[:3])}")
        if split in self._arrays:
            return split
        return "all" if "all" in self._arrays else "train"

    @cached_property
    def _drawn(self) -> dict[str, Int64[np.ndarray, " rows"]]:
        """Rows of each split in its part of the files, ascending."""
        part = "all" if "all" in self._arrays else "train"
        ids = self._arrays[part].ids
        rest = hash_order(ids, f"split {self.seed}") if self.order == "random" else np.arange(len(ids))
        if self.order == "last":
            rest = rest[::-1]
        queries = self.queries or 0
        wanted = len(ids) - queries if self.train is None else self.train
        if not 0 < queries + wanted <= len(ids) or wanted < 1:
            raise DataError(
                f"{self.root} has {len(ids)} images, too few for {queries} to test (dataset.queries) and {wanted} to "
                "train on (dataset.train); correct the two"
            )
        trained = rest[queries : queries + wanted]
        if self.order != "random" and wanted < len(ids) - queries:  # not the rows next to the queries, but any
            chosen = hash_order([ids[row] for row in rest[queries:]], f"train {self.seed}")[:wanted]
            trained = rest[queries:][chosen]
        order = hash_order([ids[row] for row in trained], f"validation {self.seed}")
        cut = 0 if "val" in self._arrays else round(self.validation * len(trained))
        drawn = {"val": trained[order[:cut]], "train": trained[order[cut:]]}
        drawn |= {"test": rest[:queries]} if part == "all" else {}
        drawn["rest"] = np.setdiff1d(np.arange(len(ids)), np.concatenate(list(drawn.values())))
        return {split: np.sort(rows) for split, rows in drawn.items()}

    def _rows(self, split: str) -> Int64[np.ndarray, " rows"]:
        part = self._part(split)
        return self._drawn[split] if part in ("all", "train") else np.arange(len(self._arrays[part].ids))

    def _text_rows(self, arrays: Arrays, rows: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " texts"]:
        """Rows of the texts whose image is among these, in the order of the file."""
        is_in = np.zeros(len(arrays.ids), dtype=bool)
        is_in[rows] = True
        return np.flatnonzero(is_in[arrays.caption_to_image])

    def _read_split(self, name: str) -> RetrievalSplit:
        arrays, rows = self._arrays[self._part(name)], self._rows(name)
        if len(rows) == 0 or len(rows) != self.expected.get(name, len(rows)):
            raise DataError(
                f"split {name!r} of {self.root} has {len(rows)} images, expected "
                f"{self.expected.get(name, 'at least one')}; correct dataset.queries, train, validation or expected"
            )
        ids = tuple(arrays.ids[row] for row in rows)
        text_rows = self._text_rows(arrays, rows)
        owners = np.searchsorted(rows, arrays.caption_to_image[text_rows])
        caption_ids = tuple(f"{arrays.ids[arrays.caption_to_image[row]]}#{row}" for row in text_rows)
        labels = None if arrays.labels is None else arrays.labels[rows]
        classes = () if labels is None else tuple(f"class_{column}" for column in range(labels.shape[1]))
        sides = [self._side(name, kind) for kind in self.feature_origins]
        reference = [self._side("train", kind) for kind in self.feature_origins] if self.is_standardised else []
        return RetrievalSplit(
            dataset=self.name,
            name=name,
            image_ids=ids,
            image_paths=tuple(self.root / f"{item}.jpg" for item in ids),  # none is there
            caption_ids=caption_ids,
            captions=caption_ids,
            tokens=((),) * len(caption_ids),
            correspondence=Correspondence(owners),
            labels=labels,
            classes=classes,
            fingerprint=fingerprint((ids, caption_ids, classes), [*sides, *reference], labels),
        )


def _listed(files: Files) -> str:
    return files if isinstance(files, str) else " and ".join(files.values())
