"""Caption clean-ups of published models; token ids fit their checkpoints only after the same one."""

import re
from collections.abc import Callable, Mapping

_DROPPED_BY_XVLM = str.maketrans("-/", "  ", ",.'!?\"()*#:;~")
_BLANK_IN_BLIP2 = str.maketrans(dict.fromkeys('.!"()*#:;~', " "))
_RUN = re.compile(r"\s{2,}")


def xvlm(caption: str) -> str:
    """Lower case without punctuation; hyphens and slashes part words.

    Source:
        X-VLM (Zeng et al., ICML 2022), public code; the same in ALBEF.
    """
    return _trimmed(caption.lower().translate(_DROPPED_BY_XVLM).replace("<person>", "person"))


def blip2(caption: str) -> str:
    """Lower case, some punctuation to blanks; comma, apostrophe, question mark, hyphen and slash stay.

    Source:
        BLIP-2 (Li et al., ICML 2023), public code: its caption processor.
    """
    return _trimmed(caption.lower().translate(_BLANK_IN_BLIP2))


def first_words(caption: str, count: int) -> str:
    """The first ``count`` words, parted at single blanks as upstream."""
    return " ".join(caption.split(" ")[:count])


def _trimmed(caption: str) -> str:
    return _RUN.sub(" ", caption).rstrip("\n").strip(" ")


CLEAN_UPS: Mapping[str, Callable[[str], str]] = {"xvlm": xvlm, "blip2": blip2}
