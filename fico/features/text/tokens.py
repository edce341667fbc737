"""Captions as token ids, by the tokenisers of the vision-language models.

Both readers check their vocabulary: a file of another kind would map every word to the unknown token, and only poor
results would show it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int64

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError, UsageError
from fico.features.text.cleaning import CLEAN_UPS, first_words
from fico.features.text.sentence_pieces import BOS, EOS, SentencePieceModel
from fico.features.text.word_pieces import CLS, SEP, WordPieceModel
from fico.features.vocabulary import MOST_UNKNOWN


class PieceModel(Protocol):
    """Cuts texts into numbered pieces."""

    source: str
    size: int
    unknown: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the ids of each text's pieces, without markers."""
        ...


class WordPieces:
    """Reads captions as word pieces of BERT: [CLS], the pieces, where wanted [SEP].

    Args:
        vocab: ``vocab.txt`` with one piece a line, a folder that holds one, or a hub name; None: whole words and
            letters of the training captions.
        clean: Clean-up of the caption: ``xvlm``, ``blip2`` or none.
        max_words: Words that are kept after the clean-up; default: all.
        max_length: Most ids of a caption, markers included.
        ends_with_sep: Append [SEP]; X-VLM leaves it out.
        extra_tokens: Tokens that the model numbers after the last of the file.

    Raises:
        UsageError: There is no such clean-up, or ``max_length`` leaves no piece.
    """

    def __init__(
        self,
        vocab: str | Path | None = None,
        clean: str | None = None,
        max_words: int | None = None,
        max_length: int = 40,
        ends_with_sep: bool = True,
        extra_tokens: Sequence[str] = (),
    ) -> None:
        if clean is not None and clean not in CLEAN_UPS:
            raise UsageError(f"clean is {clean!r}; choose one of {', '.join(CLEAN_UPS)}, or null")
        _check_length(max_length, 2 + ends_with_sep)
        self.vocab, self.clean, self.max_words = vocab, clean, max_words
        self.max_length, self.ends_with_sep, self.extra_tokens = max_length, ends_with_sep, tuple(extra_tokens)

    def fitted(self, train: RetrievalSplit) -> "CaptionTokens":
        """Open the file, or collect the pieces of the training captions.

        Raises:
            DataError: The file is missing or no such vocabulary.
        """
        if self.vocab is None:
            model = WordPieceModel.fit(map(self.cleaned, train.captions))
        else:
            model = WordPieceModel.read(self.vocab)
        end = [model.ids[SEP]] if self.ends_with_sep else []
        return CaptionTokens(self, model, [model.ids[CLS]], end, model.size + len(self.extra_tokens))

    def cleaned(self, caption: str) -> str:
        """The caption as it goes to the tokeniser."""
        text = CLEAN_UPS[self.clean](caption) if self.clean else caption.strip()
        return first_words(text, self.max_words) if self.max_words else text


class SentencePieces:
    """Reads captions as pieces of a sentencepiece model, numbered as XLM-RoBERTa does: start, pieces + 1, end.

    Args:
        model: A ``.spm`` or ``.model`` file, or a hub name; None: fitted on the training captions.
        max_length: Most ids of a caption, both markers included.
        vocab_size: Rows of the model's word table, where it has more than the file has pieces.

    Raises:
        UsageError: ``max_length`` leaves no piece.
    """

    def __init__(self, model: str | Path | None = None, max_length: int = 64, vocab_size: int | None = None) -> None:
        _check_length(max_length, 3)
        self.model, self.max_length, self.vocab_size = model, max_length, vocab_size

    def fitted(self, train: RetrievalSplit) -> "CaptionTokens":
        """Open the file, or fit a unigram model on the training captions.

        Raises:
            DataError: The file is missing, no sentencepiece model, or has more pieces than ``vocab_size``.
        """
        source = self.model
        model = SentencePieceModel.fit(train.captions) if source is None else SentencePieceModel.read(source)
        if self.vocab_size is not None and model.size > self.vocab_size:
            raise DataError(f"{model.source} numbers up to {model.size - 1}, but the word table has {self.vocab_size}")
        return CaptionTokens(self, model, [BOS], [EOS], self.vocab_size or model.size)

    def cleaned(self, caption: str) -> str:
        """The caption itself; these models read it as it was written."""
        return caption


class CaptionTokens:
    """Gives the ids of captions, and counts what it had to cut.

    Args:
        reader: Cleans a caption and knows how long it may be.
        model: Cuts it into pieces.
        start: Ids in front of every caption.
        end: Ids after it.
        vocab_size: Rows that a word table needs.

    Attributes:
        most_unknown: Fraction of unknown pieces, by words, above which `ids` refuses a split.
    """

    most_unknown = MOST_UNKNOWN

    def __init__(
        self,
        reader: WordPieces | SentencePieces,
        model: PieceModel,
        start: Sequence[int],
        end: Sequence[int],
        vocab_size: int,
    ) -> None:
        self._reader, self._model = reader, model
        self._start, self._end = list(start), list(end)
        self.sizes = {"vocab_size": vocab_size}
        self._read, self._cut = 0, 0

    @property
    def origin(self) -> str:
        """What made the ids, and how many captions were cut."""
        origin = f"{self._model.source}, at most {self._reader.max_length} ids"
        return f"{origin}; {self._cut} of {self._read} captions were cut" if self._cut else origin

    def ids(self, split: RetrievalSplit) -> tuple[Int64[np.ndarray, " ids"], ...]:
        """Token ids of each caption with the markers, without padding.

        Raises:
            DataError: Captions are empty after the clean-up (their ids are named), or the vocabulary does not
                know the words.
        """
        texts = [self._reader.cleaned(caption) for caption in split.captions]
        empty = [name for name, text in zip(split.caption_ids, texts, strict=True) if not text.strip()]
        if empty:
            raise DataError(
                f"{len(empty)} of {len(texts)} captions of split {split.name} have no word left after the clean-up, "
                f"among them {', '.join(empty[:3])}; correct them or take them out"
            )
        pieces = self._model.encode(texts)
        self._check_known(texts, pieces)
        longest = self._reader.max_length - len(self._start) - len(self._end)
        self._read += len(pieces)
        self._cut += sum(len(row) > longest for row in pieces)
        return tuple(np.array([*self._start, *row[:longest], *self._end], dtype=np.int64) for row in pieces)

    def _check_known(self, texts: Sequence[str], pieces: Sequence[Sequence[int]]) -> None:
        words = sum(len(text.split()) for text in texts)
        unknown = sum(row.count(self._model.unknown) for row in pieces)
        if unknown > self.most_unknown * words:
            row = next(row for row, ids in enumerate(pieces) if self._model.unknown in ids)
            raise DataError(
                f"the tokeniser ({self._model.source}) does not know {unknown} of {words} words (some of "
                f"{texts[row]!r}); give the vocabulary that belongs to the weights"
            )


def _check_length(max_length: int, least: int) -> None:
    if max_length < least:
        raise UsageError(f"max_length is {max_length}; with the markers a caption has at least {least} ids")
