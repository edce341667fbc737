"""The keys under ``throughput``: how fast a run is.

This module imports no torch, so that a wrong value is reported at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fico.experiment.config.hydra_errors import right_key

AUTO = "auto"
DEFAULTS: dict[str, Any] = {  # of conf/config.yaml
    "matmul_precision": "highest",
    "evaluation_batch": 64,
    "workers": None,
    "pin_memory": None,
    "compile": None,
}
PRECISIONS = ("highest", "high", "medium")  # of torch.set_float32_matmul_precision


def throughput_problems(values: Mapping[Any, Any]) -> Iterator[str]:
    """One sentence for each value that its key cannot have.

    Args:
        values: The node ``throughput``.
    """
    for key in values:
        if key not in DEFAULTS:
            yield f"unknown key throughput.{key!s}{right_key(f'throughput.{key!s}', DEFAULTS)}"
    values = DEFAULTS | {str(key): value for key, value in values.items()}
    precision, batch = values["matmul_precision"], values["evaluation_batch"]
    if precision not in PRECISIONS:
        yield f"throughput.matmul_precision is {precision!r}, but must be one of {', '.join(PRECISIONS)}"
    if batch != AUTO and not _is_whole(batch, 1):
        yield f"throughput.evaluation_batch is {batch!r}, but must be auto or a whole number of images of at least 1"
    if (workers := values["workers"]) is not None and not _is_whole(workers, 0):
        yield f"throughput.workers is {workers!r}, but must be null or a whole number of at least 0"
    if (pinned := values["pin_memory"]) is not None and not isinstance(pinned, bool):
        yield f"throughput.pin_memory is {pinned!r}, but must be null, true or false"
    if (backend := values["compile"]) is not None and not isinstance(backend, str):
        yield f"throughput.compile is {backend!r}, but must be null or a backend of torch.compile, such as inductor"


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
