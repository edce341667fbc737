"""A data set under the hashing literature's protocol, in place of its own splits."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from jaxtyping import Int64

from fico.correspondence import Correspondence
from fico.datasets.base import FeatureDataset, RetrievalDataset, RetrievalSplit
from fico.datasets.hashing.roles import HashingProtocol, Roles
from fico.datasets.subset import IMAGE_KINDS
from fico.errors import DataError, UsageError

OWN_SPLITS = ("train", "val", "test")


def hashing_splits(dataset: RetrievalDataset, protocol: HashingProtocol) -> RetrievalDataset:
    """Queries that search a database: the split ``test`` holds both, and its correspondence says which is which.

    ``train`` is drawn from the database, as the literature does, and ``val``, which selects the best epoch, from what
    would be trained on. Images without a label are in no split. The data set's name says what it is, such as
    ``coco(hashing)``, so that no table puts its numbers beside those of its own splits.

    Args:
        dataset: Any labelled one. What it fits itself (``standardise``) is fitted on its own training split.
        protocol: How the images are shared out.
    """
    return (_HashingFeatures if isinstance(dataset, FeatureDataset) else _HashingSplits)(dataset, protocol)


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """All labelled images of the data set's splits: for each its split and its row there."""

    splits: dict[str, RetrievalSplit]
    ids: tuple[str, ...]
    own: tuple[str, ...]
    rows: Int64[np.ndarray, " images"]
    unlabelled: int


class _HashingSplits:
    def __init__(self, dataset: RetrievalDataset, protocol: HashingProtocol) -> None:
        self.whole, self.protocol = dataset, protocol
        self.name, self.root = f"{dataset.name}(hashing)", dataset.root
        self._splits: dict[str, RetrievalSplit] = {}

    def split(self, name: str) -> RetrievalSplit:
        """Give one split; it is put together once.

        Raises:
            DataError: There is no split of this name, or an index file is broken or names what cannot be.
            UsageError: A split of the data set has no labels, or the counts are more than there are images.
        """
        if name not in OWN_SPLITS:
            raise DataError(f"the data set {self.name} has no split {name!r}; it has {', '.join(OWN_SPLITS)}")
        if name not in self._splits:
            self._splits[name] = self._put_together(name)
        return self._splits[name]

    @cached_property
    def _pool(self) -> _Pool:
        names = getattr(self.whole, "split_names", OWN_SPLITS)
        splits = {name: self.whole.split(name) for name in names}
        if lacking := [name for name, split in splits.items() if split.labels is None]:
            raise UsageError(
                f"dataset.protocol=hashing needs labels, but split {lacking[0]} of {self.whole.name} has none; add "
                "labels to the data set, or leave the protocol out"
            )
        kept = {name: np.flatnonzero(cast(np.ndarray, split.labels).any(axis=1)) for name, split in splits.items()}
        ids = [item for split in splits.values() for item in split.image_ids]
        is_unique = len(set(ids)) == len(ids)
        return _Pool(
            splits,
            tuple(_id(name, splits[name].image_ids[row], is_unique) for name in names for row in kept[name]),
            tuple(name for name in names for _ in kept[name]),
            np.concatenate([kept[name] for name in names]),
            len(ids) - sum(map(len, kept.values())),
        )

    @cached_property
    def _roles(self) -> Roles:
        return self.protocol.share_out(self._pool.ids, self._pool.own, self.whole.name, self.root)

    def _chosen(self, name: str) -> Int64[np.ndarray, " images"]:
        """Rows of a split in the pool, ascending."""
        roles = self._roles
        return np.union1d(roles.queries, roles.database) if name == "test" else getattr(roles, name)

    def _parts(self, name: str) -> list[tuple[RetrievalSplit, Int64[np.ndarray, " images"], np.ndarray]]:
        """The data set's splits that a split is taken from, with the rows of its images and of their captions there."""
        pool, chosen = self._pool, self._chosen(name)
        own = np.array(pool.own)[chosen]
        parts = []
        for split_name, split in pool.splits.items():
            rows = pool.rows[chosen[own == split_name]]
            if len(rows):
                captions = np.flatnonzero(np.isin(split.correspondence.caption_to_image, rows))
                parts.append((split, rows, captions))
        return parts

    def _put_together(self, name: str) -> RetrievalSplit:
        pool, chosen, parts = self._pool, self._chosen(name), self._parts(name)
        starts = np.cumsum([0, *(len(rows) for _, rows, _ in parts)])
        owners = [
            start + np.searchsorted(rows, split.correspondence.caption_to_image[captions])
            for start, (split, rows, captions) in zip(starts, parts, strict=False)
        ]
        correspondence = Correspondence(np.concatenate(owners))
        notes = [note for split, _, _ in parts for note in split.notes]
        notes += [f"{pool.unlabelled:,} images without a label are in no split"] if pool.unlabelled else []
        if name == "test":
            correspondence = correspondence.with_database(np.flatnonzero(np.isin(chosen, self._roles.database)))
        is_unique = len({item for split in pool.splits.values() for item in split.caption_ids}) == sum(
            len(split.caption_ids) for split in pool.splits.values()
        )
        first = parts[0][0]
        return RetrievalSplit(
            dataset=self.name,
            name=name,
            image_ids=tuple(pool.ids[row] for row in chosen),
            image_paths=tuple(split.image_paths[row] for split, rows, _ in parts for row in rows),
            caption_ids=tuple(
                _id(split.name, split.caption_ids[row], is_unique) for split, _, rows in parts for row in rows
            ),
            captions=tuple(split.captions[row] for split, _, rows in parts for row in rows),
            tokens=tuple(split.tokens[row] for split, _, rows in parts for row in rows),
            correspondence=correspondence,
            labels=np.concatenate([cast(np.ndarray, split.labels)[rows] for split, rows, _ in parts]),
            classes=first.classes,
            fingerprint=self._fingerprint(name, correspondence),
            label_origin=first.label_origin,
            notes=tuple(dict.fromkeys(notes)),
        )

    def _fingerprint(self, name: str, correspondence: Correspondence) -> str:
        pool = self._pool
        ids = [pool.ids[row] for row in self._chosen(name)]
        searched = None if correspondence.database is None else correspondence.database.tolist()
        contents = {split: pool.splits[split].fingerprint for split in pool.splits}
        return hashlib.sha256(json.dumps([name, contents, ids, searched]).encode()).hexdigest()


class _HashingFeatures(_HashingSplits):
    """The same of a data set that comes as features."""

    @property
    def feature_origins(self) -> Mapping[str, str]:
        return cast(FeatureDataset, self.whole).feature_origins

    def features(self, split: str, kind: str) -> np.ndarray:
        """Give the rows of the images of a split, or those of their captions."""
        found = [
            cast(FeatureDataset, self.whole).features(own.name, kind)[images if kind in IMAGE_KINDS else captions]
            for own, images, captions in self._parts(split)
        ]
        return np.concatenate(found)


def _id(split: str, item: str, is_unique: bool) -> str:
    """An id that occurs once; of files that number the rows of each split anew, with the split in front."""
    return item if is_unique else f"{split}/{item}"
