"""Results of version 0.1 in today's wording, so that they compare with those of later versions."""

from collections.abc import Mapping
from typing import Any

_DEFINITIONS = (
    ("share of queries", "fraction of queries"),
    ("right item", "relevant item"),
    ("precision at and behind recall", "precision at or beyond recall"),
    ("(trec_eval's cut)", "(trec_eval's cut-off)"),
)
_DATA = {"given files": "external data"}


def reworded(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The object that ``results.json`` holds, with the definitions and the name of the data as they read today."""
    metrics = {
        name: {**metric, "definition": _definition(metric["definition"])} for name, metric in plain["metrics"].items()
    }
    data = {**plain["data"], "name": _DATA.get(plain["data"]["name"], plain["data"]["name"])}
    return {**plain, "metrics": metrics, "data": data}


def _definition(text: str) -> str:
    for old, new in _DEFINITIONS:
        text = text.replace(old, new)
    return text
