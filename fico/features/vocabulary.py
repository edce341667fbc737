"""Words and their numbers, for models that read captions word by word."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fico.errors import DataError
from fico.formats.text import read_json

MOST_UNKNOWN = 0.1  # of the words; the vocabulary of other data or of other weights knows fewer
PAD, START, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Word ids: 0 padding, 1 start, 2 end, 3 any unknown word, then the known words.

    Args:
        words: The known words, without the four special ones; word ``i`` has id ``4 + i``.
    """

    words: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ids = {word: number for number, word in enumerate(self.words, start=len(SPECIAL))}
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.words)

    @classmethod
    def build(cls, tokens: Iterable[Sequence[str]], min_count: int = 1) -> "Vocabulary":
        """Collect the words of the training captions, in alphabetical order.

        Args:
            tokens: Words of each caption.
            min_count: A word that occurs fewer times is left out and will be read as unknown.
        """
        counts = Counter(word for caption in tokens for word in caption)
        return cls(tuple(sorted(word for word, count in counts.items() if count >= min_count)))

    def encode(self, tokens: Sequence[str]) -> Int64[np.ndarray, " words"]:
        """Give the ids of a caption's words between a start and an end mark."""
        ids = [self._ids.get(word, UNKNOWN) for word in tokens]
        return np.array([START, *ids, END], dtype=np.int64)

    @staticmethod
    def count_unknown(ids: Sequence[Int64[np.ndarray, " words"]]) -> tuple[int, int]:
        """Count the words of captions that `encode` did not know, and all words; the two markers are none."""
        return sum(int((row == UNKNOWN).sum()) for row in ids), sum(map(len, ids)) - 2 * len(ids)

    def save(self, path: Path) -> None:
        """Write the words as JSON."""
        path.write_text(json.dumps({"words": self.words}, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            DataError: The file is missing, is no such JSON, or a word is in it twice.
        """
        try:
            words = read_json(path)["words"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} is not a vocabulary ({error}); give a file that fico wrote") from error
        if (
            not isinstance(words, list)
            or not all(isinstance(word, str) for word in words)
            or len(set(words)) != len(words)
        ):
            raise DataError(f"{path} holds no list of different words; give a file that fico wrote")
        return cls(tuple(words))
