"""What is installed, what clashes and what is missing, for ``fico doctor``."""

import importlib.util
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from fico.cli.data.dataset_option import DatasetOption
from fico.cli.data.requirements import Found, read_model, requirements
from fico.cli.reproduce.inputs import Row, find_rows
from fico.errors import FicoError
from fico.util.optional import MissingExtra, requires_extra
from fico.util.provenance import versions

Level = Literal["ok", "note", "error"]
EXTRA = re.compile(r"^(?P<package>[\w.-]+)(\[(?P<included>[\w,-]+)\])?.*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")
REQUIRED = re.compile(r"^(?P<package>[\w.-]+)")
TARGET = "_target_"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined.

    Args:
        level: ``ok``, ``note`` (something optional is not there) or ``error`` (something will break).
        subject: What it is about.
        text: What was found, and for an error what to do.
    """

    level: Level
    subject: str
    text: str


def examine(
    root: Path,
    option: DatasetOption | None = None,
    size: str | None = None,
    of_the_paper: tuple[Path, Path] | None = None,
) -> list[Finding]:
    """Checks packages, the accelerator, the cache and, in a checkout, what each model config requires.

    Args:
        root: Folder of the checkout; without ``conf/model`` in it the models are left out.
        option: A data set to check: what each model requires is then there, made by the run or missing.
        size: ``tiny`` or ``paper``; default as the data set has it, without one ``paper``, which requires more.
        of_the_paper: Folders of weights and of data sets of ``fico reproduce``, whose rows are then checked.

    Raises:
        UsageError: One of these folders is none.
    """
    rows = [] if of_the_paper is None else [_row(row) for row in find_rows(*of_the_paper)]
    return [*_packages(), *_clashes(), *_accelerator(), *_cache(), *_models(root, option, size), *rows]


def _packages() -> Iterator[Finding]:
    try:
        dependencies = requires("fico") or []
    except PackageNotFoundError:
        yield Finding("error", "fico", 'not installed in this environment; pip install -e ".[cpu,test]"')
        dependencies = []
    yield Finding("ok", "installed", ", ".join(f"{name} {number}" for name, number in versions().items()))
    packages, included = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for line in dependencies:
        if found := EXTRA.match(line):
            packages[found["extra"]] += [found["package"]] if found["package"] != "fico" else []
            included[found["extra"]] += found["included"].split(",") if found["included"] else []
        elif (required := REQUIRED.match(line)) and _version(required["package"]) is None:
            yield Finding("error", required["package"], "is required and not installed; install fico again with pip")
    absent = {package for package in set().union(*packages.values()) if _version(package) is None}
    lacking = {extra: [package for package in own if package in absent] for extra, own in packages.items()}
    for extra in packages:
        missing = _missing(extra, lacking, included)
        text = f"without {', '.join(missing)}; pip install -e '.[{extra}]' if you need it" if missing else "complete"
        yield Finding("note" if missing else "ok", f"extra {extra}", text)


def _missing(extra: str, lacking: Mapping[str, list[str]], included: Mapping[str, list[str]]) -> list[str]:
    """What an extra lacks: its own packages, and the extras included in it that lack something."""
    return lacking[extra] + [f"fico[{name}]" for name in included[extra] if _missing(name, lacking, included)]


def _clashes() -> Iterator[Finding]:
    if _version("faiss-cpu") and _version("faiss-gpu"):
        yield Finding(
            "error", "faiss", "faiss-cpu and faiss-gpu both ship the module faiss; uninstall both, then install one"
        )
    if _version("lightning") and _version("pytorch-lightning"):
        yield Finding(
            "error",
            "lightning",
            "lightning and pytorch-lightning are two copies of one library; pip uninstall lightning",
        )
    torch, torchvision = _version("torch"), _version("torchvision")
    builds = {
        name: number.partition("+")[2] for name, number in (("torch", torch), ("torchvision", torchvision)) if number
    }
    if len(set(builds.values())) > 1:
        found = ", ".join(f"{name} {_version(name)}" for name in builds)
        yield Finding("error", "torchvision", f"{found} are of different builds; install both from the same index")


def _accelerator() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding("error", "torch", f"cannot be imported: {error}; install it again")
        return
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        yield Finding("ok", "accelerator", f"CUDA {torch.version.cuda}: {names}")
    else:
        yield Finding("note", "accelerator", f"none; torch {torch.__version__} runs on the CPU")


def _cache() -> Iterator[Finding]:
    from fico.util.cache import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            yield Finding("ok", "cache", f"{folder} can be written")
    except OSError as error:
        yield Finding(
            "error", "cache", f"{folder} cannot be written ({error.strerror}); set FICO_CACHE_DIR to one that can"
        )


def _models(root: Path, option: DatasetOption | None, size: str | None) -> Iterator[Finding]:
    try:
        found = None if option is None else Found(option)
    except FicoError as error:
        yield Finding("error", "data set", str(error))
        found = None
    configs = sorted((root / "conf" / "model").glob("*.yaml"))
    if not configs:
        yield Finding(
            "note", "models", f"no conf/model in {root.resolve()}; run this in a checkout to check the models"
        )
        return
    try:
        with requires_extra("train"):
            import yaml
    except MissingExtra as error:
        yield Finding("note", "models", f"not checked: {error}")
        return
    size = size or str(_size_of(root, option, yaml))
    for path in configs:
        try:
            config = read_model(path, size)
        except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            yield Finding("error", f"model {path.stem}", f"{path} cannot be read: {' '.join(str(error).split())}")
            continue
        yield _model(path.stem, config, found, root, size)


def _model(name: str, config: dict[str, Any], found: Found | None, root: Path, size: str) -> Finding:
    """One finding, a line for each requirement; what is missing comes first."""
    missing = [f"{target} cannot be found" for target in sorted(set(_targets(config))) if not _exists(target, root)]
    wanted = list(requirements(config, found, root))
    wanted.sort(key=lambda requirement: requirement.state != "missing")
    if not missing and not wanted:
        return Finding("ok", f"model {name}", "everything its config names is there")
    states = {requirement.state for requirement in wanted}
    fails = bool(missing) or "missing" in states
    level: Level = "error" if fails else "note" if "made by the run" in states else "ok"
    verb = "requires" if found is None else "takes"
    return Finding(level, f"model {name}", "\n".join([f"at size {size} {verb}", *missing, *map(str, wanted)]))


def _row(row: Row) -> Finding:
    """What a row of the paper's tables lacks: it is left out then, which breaks no other."""
    subject = f"{row.name} on {row.dataset}"
    if row.missing:
        return Finding("note", subject, "\n".join(["left out by fico reproduce, which misses", *row.missing]))
    return Finding("ok", subject, "weights and data are there")


def _size_of(root: Path, option: DatasetOption | None, yaml: Any) -> Any:
    """The size that a run on the data set would take."""
    path = root / "conf" / "dataset" / f"{option.name if option else 'coco'}.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return config.get("model_size", "tiny" if option else "paper")


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
    """Whether the module of a dotted name can be found; it is not executed."""
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
