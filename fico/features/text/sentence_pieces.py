"""Pieces of a sentencepiece model, numbered as XLM-RoBERTa does: start 0, padding 1, end 2, unknown 3."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fico.errors import DataError
from fico.features.text.tokenizer_files import find_file
from fico.util.optional import requires_extra

with requires_extra("models"):
    import sentencepiece

BOS, EOS, UNKNOWN = 0, 2, 3
SHIFT = 1  # the file counts unknown 0, start 1, end 2, then the pieces
FITTED_SIZE = 1000


class SentencePieceModel:
    """Cuts texts as the file says; ids are those of the file plus one.

    Args:
        content: Of a model file.
        source: Where it comes from, in a few words.
    """

    def __init__(self, content: bytes, source: str) -> None:
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        self.size = self._processor.get_piece_size() + SHIFT
        self.unknown = UNKNOWN
        self._file_unknown = self._processor.unk_id()
        self.source = f"{self._processor.get_piece_size()} sentence pieces of {source}"

    @classmethod
    def read(cls, source: str | Path) -> "SentencePieceModel":
        """Open a model file; see `find_file` for its forms.

        Raises:
            DataError: It is missing or no sentencepiece model.
        """
        path = find_file(source, "sentencepiece.bpe.model", "model.inputs.text.model")
        try:
            return cls(path.read_bytes(), path.name)
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{path} is not a SentencePiece model; give the .spm that belongs to the weights"
            ) from error

    @classmethod
    def fit(cls, captions: Iterable[str]) -> "SentencePieceModel":
        """Fit a unigram model of at most 1,000 pieces; the same captions give the same pieces."""
        written = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(captions),
            model_writer=written,
            vocab_size=FITTED_SIZE,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
        )
        return cls(written.getvalue(), "the training captions")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the ids of each text's pieces, without markers."""
        rows: list[list[int]] = self._processor.encode(list(texts))
        return [[UNKNOWN if piece == self._file_unknown else piece + SHIFT for piece in row] for row in rows]
