"""Words as the Penn Treebank splits them, without the files that NLTK downloads."""

import re

# A word before n't; n't; an ending as 's; a word with hyphens; a quotation mark; three full stops; any other mark.
_TOKEN = re.compile(r"\w+(?=n't\b)|n't\b|'(?:s|m|d|ll|re|ve)\b|\w+(?:-\w+)*|``|''|\.{3}|[^\w\s]")


def tokenize(caption: str) -> list[str]:
    """Split a caption as the Penn Treebank does: lower case, punctuation kept as words.

    Source:
        The word tokenizer of NLTK, which FiCo-ITR's feature toolkit, SCAN, VSRN and IMRAM call.

    Differs:
        Needs no download; a full stop between two sentences is a word of its own; abbreviations lose theirs.
    """
    opened = re.sub(r'(^|[\s(\[])"', r"\1`` ", caption.lower())
    return _TOKEN.findall(opened.replace('"', " '' "))
