"""Vocabularies that authors publish with their checkpoints, read without running code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError, PathError
from fico.features.text.treebank import tokenize
from fico.features.vocabulary import MOST_UNKNOWN, SPECIAL, Vocabulary
from fico.formats.text import read_json


def read_authors_vocabulary(path: Path | str, *, words: int | None = None) -> Vocabulary:
    """Read a vocabulary in the authors' form.

    Args:
        path: A JSON of SCAN or IMRAM, or a pickle of VSRN (made by Python 2 or 3). Both hold ``word2idx``,
            ``idx2word`` and ``idx``, the number of words with the four markers.
        words: How many words the model has, the markers counted: the rows of its word embedding.

    Returns:
        The same words with the same ids.

    Raises:
        DataError: The file is missing, is no such vocabulary, loads any other class, numbers its words
            in another way than from 0 with the markers first, or has another size than the model (both are named).
    """
    file = Path(path)
    if not file.is_file():
        raise PathError(f"there is no vocabulary {file}; give the file that belongs to the checkpoint")
    content = read_json(file) if file.suffix == ".json" else _from_pickle(file)
    vocabulary = _checked(content, file)
    if words is not None and len(vocabulary) != words:
        raise DataError(
            f"{file} has {len(vocabulary)} words, but the model's word embedding has {words}; "
            "give the vocabulary that belongs to the checkpoint"
        )
    return vocabulary


def _from_pickle(file: Path) -> Any:
    try:
        with file.open("rb") as stream:
            found = _VocabularyUnpickler(stream, encoding="utf-8").load()  # Python 2 held UTF-8 bytes
    except DataError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(f"{file} cannot be read as a vocabulary ({type(error).__name__}); fetch it again") from error
    return vars(found) if isinstance(found, _Attributes) else found


class AuthorsWords:
    """Reads captions as word ids of an authors' vocabulary, so that their checkpoint gets the ids it was trained with.

    Args:
        path: The authors' file, see `read_authors_vocabulary`.

    Raises:
        DataError: The file is missing or no such vocabulary.

    Attributes:
        most_unknown: Fraction of unknown words above which `ids` refuses a split.

    Source:
        The loaders of SCAN, VSRN and IMRAM: lower case, words of the Penn Treebank, punctuation among them, between a
        start and an end mark.
    """

    most_unknown = MOST_UNKNOWN

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._vocabulary = read_authors_vocabulary(path)
        self.sizes = {"vocab_size": len(self._vocabulary)}

    @property
    def origin(self) -> str:
        """Which vocabulary."""
        return f"{len(self._vocabulary.words)} words of {self._path.name}"

    def fitted(self, train: RetrievalSplit) -> "AuthorsWords":
        """Nothing is fitted: the words are those of the file."""
        return self

    def ids(self, split: RetrievalSplit) -> tuple[Int64[np.ndarray, " ids"], ...]:
        """Word ids of each caption with the two marks.

        Raises:
            DataError: More than a tenth of the words are unknown, so the file is of other data.
        """
        ids = tuple(self._vocabulary.encode(tokenize(caption)) for caption in split.captions)
        unknown, words = self._vocabulary.count_unknown(ids)
        if unknown > self.most_unknown * words:
            raise DataError(
                f"{self._path} does not know {unknown} of {words} words of split {split.name}; give the vocabulary "
                "that belongs to the checkpoint and to this data set"
            )
        return ids


class _Attributes:
    """Stands for the authors' class: takes its attributes, has no behaviour."""

    __slots__ = ("__dict__",)


class _VocabularyUnpickler(pickle.Unpickler):
    """Admits a class of the name ``Vocabulary``, whose attributes alone are read, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "Vocabulary":
            return _Attributes
        if (module, name) == ("copy_reg", "_reconstructor"):  # how old protocols make an instance
            return _new_attributes
        if (module, name) == ("__builtin__", "object"):
            return object
        raise DataError(
            f"the vocabulary loads {module}.{name}; it is not opened, because a pickle can run code: "
            "give the authors' file or a .json"
        )


def _new_attributes(kind: type, base: type, state: None) -> _Attributes:
    if kind is not _Attributes or base is not object or state is not None:
        raise DataError("the vocabulary's pickle makes an object that is not a vocabulary; give the authors' file")
    return _Attributes()


def _checked(content: Any, file: Path) -> Vocabulary:
    """The words in the order of their ids, if these are 0, 1, 2, ... and both tables say the same."""
    tables = [content.get(key) if isinstance(content, Mapping) else None for key in ("word2idx", "idx2word")]
    numbers, words = tables
    if not isinstance(numbers, Mapping) or not isinstance(words, Mapping):
        raise DataError(f"{file} is not a vocabulary, as it lacks word2idx or idx2word; give the authors' file")
    by_id = {number: word for word, number in numbers.items() if isinstance(number, int)}
    same = {str(key): word for key, word in words.items()} == {str(key): word for key, word in by_id.items()}
    if not same or len(by_id) != len(numbers):
        raise DataError(f"{file} contradicts itself between word2idx and idx2word; fetch it again")
    if set(by_id) != set(range(len(by_id))):
        raise DataError(f"{file} does not number its words from 0 without a gap; give the authors' file")
    ordered = tuple(str(by_id[number]) for number in range(len(by_id)))
    first = ordered[: len(SPECIAL)]
    if first != SPECIAL:
        raise DataError(f"{file} starts with {', '.join(first)}; the first four words must be {', '.join(SPECIAL)}")
    return Vocabulary(ordered[len(SPECIAL) :])
