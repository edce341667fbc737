"""What a run stores of its inputs, so that new images and captions can be brought to the form that its model reads.

The folder ``inputs`` of a run holds the training captions, on which every vocabulary is fitted again; the scale of the
image descriptors; the state of Doc2Vec; and the tested split's captions and image paths, which a search shows.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from fico.correspondence import Correspondence
from fico.datasets.base import RetrievalSplit
from fico.datasets.words import caption_words
from fico.errors import DataError
from fico.features.base import ModelInputs
from fico.features.precomputed import Scale
from fico.formats.text import read_json
from fico.util.atomic import atomic_write, sha256
from fico.util.damaged import readable
from fico.util.digests.digest import check_file, digests_of, is_sealed, sealed

INPUTS = "inputs"
MANIFEST, TRAIN, TESTED = "manifest.json", "train.json.gz", "tested.json.gz"
SCALE, DOC2VEC = "image_scale.safetensors", "doc2vec.safetensors"
FILES = (TRAIN, TESTED, SCALE, DOC2VEC)
SCHEMA_VERSION = 1
ADVICE = "copy it again or train the run again"


def write_inputs(
    run: Path, train: RetrievalSplit, tested: RetrievalSplit, inputs: ModelInputs, readers: Mapping[str, Any]
) -> None:
    """Write the folder ``inputs`` of a run, its manifest last.

    Args:
        run: The run's folder.
        train: The training split.
        tested: The split whose embeddings the run stores.
        inputs: Of the same splits.
        readers: By side what made them: a kind of features, or the config node of a reader.
    """
    folder = run / INPUTS
    (folder / MANIFEST).unlink(missing_ok=True)
    _write_captions(folder / TRAIN, train)
    paths = [str(path.resolve()) for path in tested.image_paths]
    _write_captions(folder / TESTED, tested, image_paths=paths, classes=tested.classes)
    scale = inputs.image_scale
    if scale is not None:
        with atomic_write(folder / SCALE) as temporary:
            save_file({"mean": scale.mean, "deviation": scale.deviation}, temporary)
    if readers["text"] == "doc2vec" and inputs.is_made["text"]:
        from fico.features.text.doc2vec import fitted_once, save_inference_state

        save_inference_state(fitted_once(train.captions), folder / DOC2VEC)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "readers": dict(readers),
        "origin": inputs.origin,
        "is_made": dict(inputs.is_made),
    }
    manifest["files"] = digests_of(folder, FILES)
    with atomic_write(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(sealed(manifest), indent=1), encoding="utf-8")


def check_inputs(run: Path) -> None:
    """Compare the files of the folder ``inputs`` with their digests.

    Raises:
        DataError: One is missing or was changed.
    """
    stored = StoredInputs.load(run)
    for name in stored.files:
        stored.checked(name)


def _write_captions(path: Path, split: RetrievalSplit, **more: Sequence[str]) -> None:
    content = {"dataset": split.dataset, "name": split.name, "captions": split.captions, "tokens": split.tokens, **more}
    with atomic_write(path) as temporary:
        temporary.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


def as_split(
    dataset: str,
    name: str,
    *,
    images: Mapping[str, Path] | None = None,
    captions: Sequence[str] = (),
    tokens: Sequence[Sequence[str]] = (),
) -> RetrievalSplit:
    """Images and captions that do not belong together, in the form that the readers of the features take.

    Args:
        dataset: Name of the data set, for messages.
        name: Name of the split, for messages.
        images: Files by id.
        captions: Any text.
        tokens: Words of each caption.
    """
    images = images or {}
    return RetrievalSplit(
        dataset=dataset,
        name=name,
        image_ids=tuple(images),
        image_paths=tuple(images.values()),
        caption_ids=tuple(f"text {row}" for row in range(1, len(captions) + 1)),
        captions=tuple(captions),
        tokens=tuple(map(tuple, tokens)),
        correspondence=Correspondence(np.zeros(max(1, len(captions)), np.int64)),  # nobody reads it
        labels=None,
        classes=(),
        fingerprint="",
    )


@dataclass(frozen=True)
class StoredInputs:
    """The folder ``inputs`` of a run; each file is read on first use.

    Args:
        folder: The folder.
        readers: By side what made the inputs: a kind of features, or the config node of a reader.
        origin: The same in a sentence.
        is_made: By side: whether the inputs of new images or captions can be made.
        files: SHA-256 of the files, by name.
    """

    folder: Path
    readers: Mapping[str, Any]
    origin: Mapping[str, str]
    is_made: Mapping[str, bool]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, run: Path) -> "StoredInputs":
        """Open the folder.

        Raises:
            DataError: It is missing, as in runs of earlier releases, or of another version.
        """
        path = run / INPUTS / MANIFEST
        if not path.is_file():
            raise DataError(
                f"{run} stores no inputs ({INPUTS}/{MANIFEST}), without which new images and captions cannot be read; "
                "train it again with this release"
            )
        manifest: Any = read_json(path)
        try:
            if manifest["schema_version"] != SCHEMA_VERSION:
                raise DataError(f"{path} has schema_version {manifest['schema_version']}, wanted is {SCHEMA_VERSION}")
            is_sealed(manifest, path, ADVICE)
            readers, origin, is_made = (manifest[name] for name in ("readers", "origin", "is_made"))
            return cls(run / INPUTS, readers, origin, is_made, manifest.get("files", {}))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged; train the run again") from error

    def checked(self, name: str) -> Path:
        """The path of a file.

        Raises:
            DataError: It is missing, though it was written, or was changed.
        """
        path = self.folder / name
        if name in self.files and not path.is_file():
            raise DataError(f"{path} is missing; {ADVICE}")
        check_file(path, self.files.get(name), ADVICE)
        return path

    @cached_property
    def train(self) -> RetrievalSplit:
        """The training captions, on which text readers are fitted."""
        content = self._captions(TRAIN)
        return as_split(content["dataset"], "train", captions=content["captions"], tokens=content["tokens"])

    @cached_property
    def known_words(self) -> frozenset[str]:
        """Words of the training captions."""
        return frozenset(word for words in self.train.tokens for word in words)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """Captions of the tested split, in the order of its embeddings."""
        return tuple(self._tested["captions"])

    @property
    def tested_name(self) -> str:
        """Data set and name of the tested split."""
        return f"{self._tested['dataset']} {self._tested['name']}"

    @cached_property
    def image_paths(self) -> tuple[Path, ...]:
        """Image files of the tested split, in the order of its embeddings; empty of a data set of features."""
        return tuple(map(Path, self._tested["image_paths"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the categories of the tested split, in the order of its labels; empty where none are stored."""
        return tuple(self._tested.get("classes", ()))

    @cached_property
    def scale(self) -> Scale:
        """Scale of the image descriptors.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self.checked(SCALE)
        with readable(path, "train the run again"):
            arrays = load_file(path)
            return Scale(arrays["mean"], arrays["deviation"])

    @property
    def scale_digest(self) -> str:
        """SHA-256 of the scale; empty where there is none."""
        path = self.folder / SCALE
        return sha256(path) if path.is_file() else ""

    def words(self, caption: str) -> tuple[str, ...]:
        """Words of a caption; of one of the training or tested split those that its data set gave."""
        return self._tokens.get(caption) or caption_words(caption)

    @cached_property
    def _tokens(self) -> dict[str, tuple[str, ...]]:
        return {
            caption: tuple(words)
            for content in (self._captions(TRAIN), self._tested)
            for caption, words in zip(content["captions"], content["tokens"], strict=True)
        }

    @cached_property
    def _tested(self) -> dict[str, Any]:
        return self._captions(TESTED)

    def _captions(self, name: str) -> dict[str, Any]:
        path = self.checked(name)
        with readable(path, "train the run again"):
            content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
        return content
