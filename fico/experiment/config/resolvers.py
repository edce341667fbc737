"""The resolvers of OmegaConf that ``conf`` uses."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf

from fico.errors import UsageError
from fico.util.quiet import is_quiet


def register_resolvers() -> None:
    """Make ``by_size``, ``stages``, ``run_name`` and the others known to OmegaConf; may be called again."""
    named: dict[str, Callable[..., Any]] = {
        "by_size": _by_size,
        "stages": _stages,
        "run_name": _run_name,
        "fused_checkpoint": _fused_checkpoint,
        "console_level": lambda: "WARNING" if is_quiet() else "INFO",
        "file_name": file_name,
        "gpus": _gpus,
    }
    for name, resolver in named.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _by_size(values: Mapping[str, Any], *, _root_: DictConfig) -> Any:
    """``${by_size:{tiny: 1, paper: 2}}``: the value of ``model.size``."""
    size = str(_root_.model.size)
    if size not in values:
        raise UsageError(f"model.size is {size!r}, but must be one of {', '.join(values)}")
    return values[size]


def _stages(*, _root_: DictConfig) -> ListConfig:
    """Released weights are tested as they are; everything else is trained first."""
    return ListConfig(["test"] if _root_.model.weights else ["fit", "test"])


def _run_name(*, _root_: DictConfig) -> str:
    if "screen" in _root_.model:
        return _cascade_name(_root_.model)
    return f"{setting_name(_root_)}-s{_root_.seed}"


def _gpus(at_most: int | None = None) -> int:
    """``${gpus:}``: GPUs of this machine; ``${gpus:1}``: one where there is any."""
    import torch

    count = torch.cuda.device_count()
    return count if at_most is None else min(count, at_most)


def _fused_checkpoint(*, _root_: DictConfig) -> str | None:
    """``${fused_checkpoint:}``: of a model without fusion, the best weights of the one with it in the same sweep.

    Where there is no such run yet, a pattern of its name, which the checks refuse as a file that is not there. None for
    other models, and where it is trained itself.
    """
    name = _run_name(_root_=_root_)
    if "_nf-" not in name or "fit" in _root_.stage:
        return None
    folder = Path(str(HydraConfig.get().sweep.dir) if HydraConfig.initialized() else "multirun")
    pattern = f"*-{name.replace('_nf-', '-', 1)}/checkpoints/best.ckpt"
    found = sorted(folder.glob(pattern))
    return str(found[0] if len(found) == 1 else folder / pattern)


def _cascade_name(model: DictConfig) -> str:
    """``cascade-<screen>-<rank>-k<depth>``, by the folders of the runs, whose data and seeds are its own."""
    runs = "-".join(file_name(Path(str(model.get(key))).name) for key in ("screen", "rank"))
    return f"{model.name}-{runs}-k{file_name(str(model.k).replace('%', 'pct'))}"


def setting_name(config: DictConfig) -> str:
    """A run's name without its seed: ``<model>[-<bits>][-<features>]-<dataset>[-first<N>][-x<copies>][-hashing]``."""
    model, dataset = config.model, dataset_name(config)
    subset = config.dataset.get("subset")
    dataset += "" if subset is None else f"-first{subset}"
    copies = config.dataset.get("copies")
    dataset += "" if copies is None else f"-x{copies}"
    dataset += "-hashing" if config.dataset.get("protocol") == "hashing" else ""
    bits = f"-{model.bits}" if "bits" in model else ""
    features = features_name(config)
    return f"{model.name}{bits}{features and f'-{features}'}-{dataset}"


def file_name(text: object, empty: str = "run") -> str:
    """A text in letters, digits, ``.``, ``_`` and ``-`` alone, which every shell and Hydra take without quotes.

    Args:
        text: Any; accents are dropped, other characters become a hyphen.
        empty: What is left where nothing is left.
    """
    plain = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.") or empty


def features_name(config: DictConfig) -> str:
    """The option of the group ``features``; empty for ``default``, the models' own."""
    name = str((config.get("features") or {}).get("name", "default"))
    return "" if name == "default" else name


def dataset_name(config: DictConfig) -> str:
    """The data set's ``name``, or else the name of its class."""
    return str(config.dataset.get("name") or str(config.dataset._target_).rsplit(".", maxsplit=1)[-1].lower())
