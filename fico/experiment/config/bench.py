"""The node ``bench``: of a bench what it builds, of an experiment that times a model the time it may take."""

from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

from fico.experiment.config.hydra_errors import right_key

KEYS = frozenset({"budget"})  # of an experiment with a model


def is_bench(config: DictConfig) -> bool:
    """Whether the config measures without a model."""
    return OmegaConf.select(config, "bench._target_") is not None


def bench_problems(config: DictConfig) -> Iterator[str]:
    """One sentence for each key that no experiment with a model has; of a bench its class tells."""
    for key in () if is_bench(config) else config.get("bench") or ():
        if key not in KEYS:
            yield f"unknown key bench.{key!s}{right_key(f'bench.{key!s}', KEYS)}"
