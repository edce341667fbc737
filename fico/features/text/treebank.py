"""Words as the Penn Treebank splits them, by NLTK."""

from functools import cache
from typing import TYPE_CHECKING

from fico.util.optional import requires_extra

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer  # type: ignore[import-untyped]
    from nltk.tokenize.punkt import PunktSentenceTokenizer  # type: ignore[import-untyped]


def tokenize(caption: str) -> list[str]:
    """Split a caption as the Penn Treebank does: lower case, punctuation kept as words.

    Source:
        ``nltk.word_tokenize``, which FiCo-ITR's feature toolkit, SCAN, VSRN and IMRAM call: sentences, then words.

    Differs:
        The sentence splitter is untrained, so that nothing is downloaded: an abbreviation such as ``mr.`` loses its
        full stop.
    """
    sentences, words = _tokenizers()
    return [word for sentence in sentences.tokenize(caption.lower()) for word in words.tokenize(sentence)]


@cache
def _tokenizers() -> "tuple[PunktSentenceTokenizer, NLTKWordTokenizer]":
    with requires_extra("text"):
        from nltk.tokenize import NLTKWordTokenizer  # here, as it takes a second to import
        from nltk.tokenize.punkt import PunktSentenceTokenizer

    return PunktSentenceTokenizer(), NLTKWordTokenizer()
