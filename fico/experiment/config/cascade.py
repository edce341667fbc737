"""Checks of ``model=cascade``, which trains nothing and takes data and metrics from two runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from fico.bench.cascade.request import NAME, Depth, Request, checked_request, read_depths
from fico.errors import UsageError
from fico.experiment.config.hydra_errors import right_key

KEYS = frozenset({"name", "screen", "rank", "k", "index", "weights"})
UNUSED = (
    "dataset",
    "features",
    "metric",
    "index",
    "callbacks",
    "trainer",
    "throughput",
    "stage",
    "bench",
    "debug",
    "experiment",
)


def is_cascade(config: DictConfig) -> bool:
    """Whether the config is that of a cascade."""
    return bool(OmegaConf.select(config, "model.name") == NAME)


def cascade_problems(config: DictConfig) -> Iterator[str]:
    """One sentence for each key of the model that is unknown, missing or has a value that it cannot have."""
    for key in config.model:
        if key not in KEYS:
            yield f"unknown key model.{key!s}{right_key(f'model.{key!s}', KEYS)}"
    for key in ("screen", "rank"):
        if OmegaConf.is_missing(config.model, key) or config.model[key] is None:
            yield f"model.{key} is not set; add model.{key}=RUN, the folder of a finished run"
    try:
        _depths(config)
    except UsageError as error:
        yield str(error)


def cascade_request(config: DictConfig) -> Request:
    """The cascade of a config.

    Raises:
        UsageError: A key is wrong, or the runs cannot be a cascade.
        DataError: A run did not finish or is damaged.
    """
    if problems := list(cascade_problems(config)):
        raise UsageError("; ".join(problems))
    screen, rank = (Path(str(config.model[key])).expanduser() for key in ("screen", "rank"))
    index = None if config.model.index is None else str(config.model.index)
    return checked_request(screen, rank, _depths(config), index, option="model.index")


def check_unused(overrides: Sequence[str]) -> None:
    """Refuses overrides that a cascade would ignore.

    Args:
        overrides: Of the command line.

    Raises:
        UsageError: There is one.
    """
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0].partition("@")[0]
        if key.partition(".")[0] in UNUSED:
            raise UsageError(
                f"{key} has no effect on model=cascade, whose data and metrics are those of its runs; leave it out"
            )


def _depths(config: DictConfig) -> tuple[Depth, ...]:
    k = config.model.k
    return read_depths(",".join(map(str, k)) if isinstance(k, ListConfig) else str(k), "model.k")
