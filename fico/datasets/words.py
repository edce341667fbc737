"""Words of a caption, for captions that come without a list of them."""

import unicodedata

from fico.util.optional import requires_extra

with requires_extra("data"):
    import regex  # type: ignore[import-untyped]

# Scripts that put no blanks between words. Without a dictionary their characters are the words.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(
    rf"(?V1)[[\w\p{{N}}]&&[{_UNSPACED}]]\p{{M}}*"  # one character with its vowel signs and tone marks
    rf"|[[\w\p{{N}}]--[{_UNSPACED}\p{{M}}]][[\w\p{{N}}\p{{M}}]--[{_UNSPACED}]]*"
)


def caption_words(caption: str) -> tuple[str, ...]:
    r"""Split a caption into lower-cased words without punctuation, as Karpathy's files do.

    Combining marks belong to their letter: ``re``'s ``\w`` would cut the words of Hindi or Thai at every vowel sign.
    Chinese, Japanese, Thai, Lao, Khmer and Burmese are read character by character. An accent that was typed as a mark
    of its own gives the same word as the composed letter (NFC).
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFC", caption).lower().replace("'", "")))
