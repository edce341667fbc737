"""Captions through the tokeniser of a model's checkpoint folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features.text.tokens import WordPieces
from fico.features.vocabulary import MOST_UNKNOWN
from fico.networks.checkpoint_io.model_folder import model_folder
from fico.util.optional import requires_extra

_TOKENISERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_SIGLIP = ("siglip", "siglip2")  # trained on lower case, padded to full length, with no mask


def text_reader(source: str | Path | None, max_length: int) -> "WordPieces | FolderTokens":
    """Build the tokeniser of a checkpoint, or without one word pieces of the training captions.

    Args:
        source: Folder or hub name; None: word pieces between [CLS] and [SEP].
        max_length: Most ids of such a caption, both markers included; not used with ``source``.
    """
    return WordPieces(max_length=max_length) if source is None else FolderTokens(source)


class FolderTokens:
    """Captions as ids of the tokeniser in the checkpoint's folder, with the markers and the padding of the model.

    Args:
        source: Folder that holds ``tokenizer.json`` or the files it is made of, or a hub name.

    Raises:
        DataError: There are no such files, from which transformers would make a tokeniser that knows no word.

    Attributes:
        most_unknown: Fraction of unknown pieces, by words, above which `ids` refuses a split.
    """

    most_unknown = MOST_UNKNOWN

    def __init__(self, source: str | Path) -> None:
        with requires_extra("models"):
            from transformers import AutoConfig, AutoTokenizer

        folder = model_folder(source)
        if not any((folder / name).is_file() for name in _TOKENISERS):
            raise DataError(
                f"{folder} has no tokeniser file ({' or '.join(_TOKENISERS)}); put that of the checkpoint there"
            )
        try:
            config = AutoConfig.from_pretrained(folder)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise DataError(f"{folder} names no usable tokeniser ({str(error).splitlines()[0]})") from error
        self._longest = int(config.get_text_config().max_position_embeddings)
        self._is_siglip = config.model_type in _SIGLIP
        self._name = Path(source).name
        self.sizes: Mapping[str, int] = {"vocab_size": len(self._tokenizer)}
        self._read, self._cut = 0, 0

    def fitted(self, train: RetrievalSplit) -> "FolderTokens":
        """The tokeniser itself: it is not fitted."""
        return self

    @property
    def origin(self) -> str:
        """What made the ids, and how many captions were cut."""
        origin = f"{type(self._tokenizer).__name__} of {self._name}, at most {self._longest} ids"
        return f"{origin}; {self._cut} of {self._read} captions were cut" if self._cut else origin

    def ids(self, split: RetrievalSplit) -> tuple[Int64[np.ndarray, " ids"], ...]:
        """Token ids of each caption.

        Raises:
            DataError: Captions are empty (their ids are named), or the tokeniser does not know the words.
        """
        empty = [name for name, text in zip(split.caption_ids, split.captions, strict=True) if not text.strip()]
        if empty:
            raise DataError(
                f"{len(empty)} captions of split {split.name} have no word, among them {', '.join(empty[:3])}; correct "
                "them or take them out"
            )
        # The folders of SigLIP 2 for one image size name Gemma's tokeniser, which keeps capitals.
        texts = [caption.lower() if self._is_siglip else caption for caption in split.captions]
        whole = self._tokenizer(texts)["input_ids"]
        self._check_known(texts)
        self._read += len(texts)
        self._cut += sum(len(row) > self._longest for row in whole)
        how = {"padding": "max_length"} if self._is_siglip else {}
        rows = self._tokenizer(texts, truncation=True, max_length=self._longest, **how)["input_ids"]
        return tuple(np.array(row, dtype=np.int64) for row in rows)

    def _check_known(self, texts: Sequence[str]) -> None:
        unknown = self._tokenizer.unk_token_id
        pieces = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        words = sum(len(text.split()) for text in texts)
        missed = sum(row.count(unknown) or not row for row in pieces)
        if missed > self.most_unknown * words:
            raise DataError(
                f"the tokeniser of {self._name} does not know {missed} of {words} words; give the tokeniser files that "
                "belong to the weights"
            )
