"""What of a run's config its numbers depend on, the seed aside."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fico.report.results.schema import Results

# What changes no number, or is known otherwise: the data by their fingerprint and not by their path.
_IGNORED = ("seed", "name", "logger", "callbacks", "index", "stage")
_IGNORED_INSIDE = {
    "metric": ("bootstrap", "memory_limit"),
    # Of a subset and of copies the fingerprint says it; the model's node has the last two.
    "dataset": (
        "root",
        "expected",
        "expected_captions",
        "subset",
        "copies",
        "protocol_files",
        "model_size",
        "rerank_k",
    ),
    "trainer": ("accelerator",),
    "files": ("screen", "rank"),  # of a cascade, whose model's node has the identities of both runs
}


def identity(results: Results) -> str:
    """Hash of everything but the seed that a run's numbers depend on, code left aside."""
    digest = hashlib.sha256(results.data.fingerprint.encode())
    model = results.model
    parts = [model.name, model.bits, model.size, relevant_config(results.config)]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()


def relevant_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without the keys that change no number, and without seeds at any depth."""
    kept = {key: value for key, value in config.items() if key not in _IGNORED}
    for group, keys in _IGNORED_INSIDE.items():
        if isinstance(kept.get(group), Mapping):
            kept[group] = {key: value for key, value in kept[group].items() if key not in keys}
    without_seeds: dict[str, Any] = _without_seeds(kept)
    return without_seeds


def _without_seeds(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_seeds(value) for key, value in node.items() if key != "seed"}
    return node


def config_leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from config_leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node
