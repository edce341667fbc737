"""Word pieces of BERT: the vocabulary of a checkpoint, or a small one of the training captions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fico.errors import DataError
from fico.features.text.tokenizer_files import find_file
from fico.formats.text import read_text
from fico.util.optional import requires_extra

with requires_extra("models"):
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
MOST_WORDS = 8000


class WordPieceModel:
    """Lower case, accents off, words and punctuation apart, then the longest pieces from the left.

    Args:
        ids: Number of each piece; the markers are among them, [PAD] is 0.
        source: Where it comes from, in a few words.
    """

    def __init__(self, ids: Mapping[str, int], source: str) -> None:
        self.ids, self.source = dict(ids), source
        self.size = len(self.ids)
        self.unknown = self.ids[UNK]
        self._tokenizer = Tokenizer(WordPiece(self.ids, unk_token=UNK, max_input_chars_per_word=100))
        self._tokenizer.normalizer = BertNormalizer(lowercase=True)
        self._tokenizer.pre_tokenizer = BertPreTokenizer()

    @classmethod
    def read(cls, source: str | Path) -> "WordPieceModel":
        """Open a vocabulary; see `find_file` for its forms.

        Raises:
            DataError: It is missing, does not hold the markers or holds a piece twice.
        """
        path = find_file(source, "vocab.txt", "model.inputs.text.vocab")
        pieces = read_text(path).replace("\r\n", "\n").rstrip("\n").split("\n")  # a piece may be a blank of Unicode
        ids = {piece: number for number, piece in enumerate(pieces)}
        missing = [marker for marker in (PAD, UNK, CLS, SEP) if marker not in ids]
        if missing or len(ids) != len(pieces) or ids[PAD] != 0:
            defect = f"without {', '.join(missing)}" if missing else "with a piece twice or without [PAD] at its start"
            raise DataError(f"{path} is a list {defect}; give the vocab.txt of the weights, one piece a line")
        return cls(ids, f"{len(ids)} word pieces of {path.name}")

    @classmethod
    def fit(cls, captions: Iterable[str]) -> "WordPieceModel":
        """Number the words that occur at least twice, the most frequent first, and all letters for the others."""
        normalise, part = BertNormalizer(lowercase=True), BertPreTokenizer()
        counts: Counter[str] = Counter()
        for caption in captions:
            counts.update(word for word, _ in part.pre_tokenize_str(normalise.normalize_str(caption)))
        letters = sorted({letter for word in counts for letter in word})
        often = sorted((word for word in counts if counts[word] > 1), key=lambda word: (-counts[word], word))
        pieces = [PAD, UNK, CLS, SEP, MASK, *letters, *(f"##{letter}" for letter in letters), *often[:MOST_WORDS]]
        ids = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
        return cls(ids, f"{len(ids)} words and letters of the training captions")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the ids of each text's pieces, without markers."""
        return [found.ids for found in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]
