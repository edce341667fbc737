"""Whether every ``_target_`` of a config takes the keys beside it."""

import inspect
from collections.abc import Iterator
from typing import Any

from hydra.utils import get_object

from fico.experiment.config.hydra_errors import did_you_mean
from fico.util.optional import missing_extra

# Keys of a node that are not arguments of its `_target_`.
PROTOCOL_KEYS = ("protocol_queries", "protocol_train", "protocol_validation", "protocol_seed", "protocol_files")
DATASET_EXTRAS = frozenset(
    {"split", "model_size", "inputs", "rerank_k", "subset", "copies", "protocol", *PROTOCOL_KEYS}
)


def wrong_targets(resolved: Any, where: str = "") -> Iterator[str]:
    """Import every ``_target_`` of a resolved config, or of its node at ``where``, and bind its keys to a signature."""
    for path, node in _targets(resolved, where):
        target = node["_target_"]
        try:
            signature = inspect.signature(get_object(target))
        except Exception as error:  # an import can fail in any way
            missing = missing_extra(error)
            yield (
                f"{path}: {missing}" if missing else f"{path}._target_ {target!r} cannot be imported ({_reason(error)})"
            )
            continue
        extras = DATASET_EXTRAS if path == "dataset" else frozenset()
        keys = {str(key) for key in node if not str(key).startswith("_") and key not in extras}
        yield from _unbound(path, target, signature, keys, is_partial=bool(node.get("_partial_", False)))


def _reason(error: Exception) -> str:
    """Hydra's message in one line, without its question."""
    return " ".join(str(error).partition("Are you sure")[0].split())


def _unbound(
    path: str, target: str, signature: inspect.Signature, keys: set[str], *, is_partial: bool
) -> Iterator[str]:
    parameters = signature.parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for key in sorted(keys - set(parameters)):
            yield f"unknown key {path}.{key}{did_you_mean(key, parameters)}; {target} takes {', '.join(parameters)}"
    if not is_partial:
        for name, parameter in parameters.items():
            is_required = parameter.default is parameter.empty and parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            )
            if is_required and name not in keys:
                yield f"{path}.{name} is missing; {target} requires it"


def _targets(node: Any, path: str) -> Iterator[tuple[str, dict[Any, Any]]]:
    if isinstance(node, dict):
        if node.get("_target_"):
            yield path, node
        for key, value in node.items():
            yield from _targets(value, f"{path}.{key!s}" if path else str(key))
