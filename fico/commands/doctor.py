"""What is installed, what clashes and what is missing, for ``fico doctor``."""

import importlib.util
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from fico.report.provenance import versions

Level = Literal["ok", "note", "fault"]
EXTRA = re.compile(r"^(?P<package>[\w.-]+).*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")
REQUIRED = re.compile(r"^(?P<package>[\w.-]+)")
TARGET = "_target_"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Args:
        level: ``ok``, ``note`` (something optional is not there) or ``fault`` (something will break).
        subject: What it is about.
        text: What was found, and for a fault what to do.
    """

    level: Level
    subject: str
    text: str


def examine(root: Path) -> list[Finding]:
    """Looks at packages, the machine, the cache and, in a checkout, at what each model config needs.

    Args:
        root: Folder of the checkout; without ``conf/model`` in it the models are left out.
    """
    return [*_packages(), *_clashes(), *_accelerator(), *_cache(), *_models(root)]


def _packages() -> Iterator[Finding]:
    try:
        needed = requires("fico") or []
    except PackageNotFoundError:
        yield Finding("fault", "fico", 'not installed in this environment; pip install -e ".[cpu,test]"')
        needed = []
    yield Finding("ok", "installed", ", ".join(f"{name} {number}" for name, number in versions().items()))
    extras: dict[str, list[str]] = {}
    for line in needed:
        if found := EXTRA.match(line):
            extras.setdefault(found["extra"], []).append(found["package"])
        elif (required := REQUIRED.match(line)) and _version(required["package"]) is None:
            yield Finding("fault", required["package"], "is needed and not installed; install fico again with pip")
    for extra, packages in extras.items():
        missing = [package for package in packages if _version(package) is None]
        text = f"without {', '.join(missing)}; pip install -e '.[{extra}]' if you need it" if missing else "complete"
        yield Finding("note" if missing else "ok", f"extra {extra}", text)


def _clashes() -> Iterator[Finding]:
    if _version("faiss-cpu") and _version("faiss-gpu"):
        yield Finding(
            "fault", "faiss", "faiss-cpu and faiss-gpu both ship the module faiss; uninstall both, then install one"
        )
    if _version("lightning") and _version("pytorch-lightning"):
        yield Finding(
            "fault",
            "lightning",
            "lightning and pytorch-lightning are two copies of one library; pip uninstall lightning",
        )
    torch, torchvision = _version("torch"), _version("torchvision")
    builds = {
        name: number.partition("+")[2] for name, number in (("torch", torch), ("torchvision", torchvision)) if number
    }
    if len(set(builds.values())) > 1:
        found = ", ".join(f"{name} {_version(name)}" for name in builds)
        yield Finding("fault", "torchvision", f"{found} are of different builds; install both from the same index")


def _accelerator() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding("fault", "torch", f"cannot be imported: {error}; install it again")
        return
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        yield Finding("ok", "accelerator", f"CUDA {torch.version.cuda}: {names}")
    else:
        yield Finding("note", "accelerator", f"none; torch {torch.__version__} runs on the CPU")


def _cache() -> Iterator[Finding]:
    from fico.datasets.cache import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            yield Finding("ok", "cache", f"{folder} can be written")
    except OSError as error:
        yield Finding(
            "fault", "cache", f"{folder} cannot be written ({error.strerror}); set FICO_CACHE_DIR to one that can"
        )


def _models(root: Path) -> Iterator[Finding]:
    configs = sorted((root / "conf" / "model").glob("*.yaml"))
    if not configs:
        yield Finding(
            "note", "models", f"no conf/model in {root.resolve()}; run this in a checkout to check the models"
        )
        return
    yaml = import_module("yaml")  # comes with OmegaConf and has no types
    for path in configs:
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            yield Finding("fault", f"model {path.stem}", f"{path} cannot be read: {' '.join(str(error).split())}")
            continue
        missing = _missing(config, root)
        text = f"missing: {'; '.join(missing)}" if missing else "everything its config names is there"
        yield Finding("fault" if missing else "ok", f"model {path.stem}", text)


def _missing(config: dict[str, Any], root: Path) -> list[str]:
    missing = [f"{target} cannot be found" for target in sorted(set(_targets(config))) if not _exists(target, root)]
    for key in ("weights", "checkpoint"):
        path = config.get(key)
        if isinstance(path, str) and os.sep in path and not (root / path).exists():
            missing.append(f"{key} {path}")
    return missing


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get(TARGET), str):
            yield node[TARGET]
        for part in node.values():
            yield from _targets(part)
    elif isinstance(node, list):
        for part in node:
            yield from _targets(part)


def _exists(target: str, root: Path) -> bool:
    """Whether the module of a dotted name can be found, without running it."""
    module = target.rpartition(".")[0]
    file = root.joinpath(*module.split("."))
    if file.with_suffix(".py").is_file() or (file / "__init__.py").is_file():
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
