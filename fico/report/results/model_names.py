"""How models and their families are written for a reader."""

import re

from fico.report.table.table import NOTHING

FAMILIES = {"vlp": "vision-language pre-trained", "fine": "fine-grained", "coarse": "coarse-grained", None: NOTHING}

_NAMES = {
    "adv": "ADV", "beit3": "BEiT-3", "blip2": "BLIP-2", "cca": "CCA", "clip": "CLIP", "clip_heads": "CLIP heads",
    "clip_hash": "CLIP hash", "dadh": "DADH", "hash_head": "hash head", "imram": "IMRAM", "mith": "MITH",
    "scan": "SCAN", "ucch": "UCCH", "vsrn": "VSRN", "xvlm": "X-VLM",
}  # fmt: skip


def display_name(label: str) -> str:
    """A label with the name of its model as its authors write it; ``_nf`` is without fusion.

    Args:
        label: Begins with the name that configs have, as ``ucch, 64 bits`` does; another one stays as it is.
    """
    name, rest = re.fullmatch(r"(\w*)(.*)", label, re.DOTALL).groups()  # type: ignore[union-attr]
    plain = name.removesuffix("_nf")
    if plain not in _NAMES:
        return label
    return _NAMES[plain] + (" without fusion" if name != plain else "") + rest
