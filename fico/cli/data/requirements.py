"""What each model requires: features, files, labels, weights; what is there, and how to get the rest."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fico.cli.data.dataset_option import DatasetOption
from fico.datasets.base import RetrievalSplit
from fico.datasets.recipes import recipe_names
from fico.util.optional import requires_extra

State = Literal["there", "made by the run", "missing", "required"]
_BY_SIZE = re.compile(r"^\$\{by_size:(\{.*\})\}$")
_LINK = re.compile(r"^\$\{model\.([\w.]+)\}$")
_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_FILES = (".spm", ".model", ".txt", ".json", ".pth", ".pt", ".tar", ".bin", ".safetensors", ".ckpt")
_TEXT_SOURCES = ("vocab", "model", "source")  # keys of a text reader that name a file, folder or hub name


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a model requires.

    Args:
        what: Its name.
        state: ``there``; ``made by the run`` where a run needs no file; ``missing``; ``required`` where no data set is
            checked.
        get: The command that gets it, or what to do; empty where nothing is to do.
    """

    what: str
    state: State
    get: str = ""

    def __str__(self) -> str:
        text = self.what if self.state == "required" else f"{self.what}: {self.state}"
        return f"{text} ({self.get})" if self.get else text


class Found:
    """What a data set holds, read once for all models.

    Args:
        option: How the command line names it.

    Raises:
        FicoError: It cannot be read.
    """

    def __init__(self, option: DatasetOption) -> None:
        dataset = option.open()
        self.root, self.name = dataset.root, option.name
        self.splits: Mapping[str, RetrievalSplit] = option.read(dataset)
        paths = [path for split in self.splits.values() for path in split.image_paths]
        self.images = len(paths)
        self.missing_images = sum(not path.is_file() for path in paths)
        self.has_labels = all(split.labels is not None for split in self.splits.values())
        root = "" if option.root is None else f" --root {option.root}"
        key = "" if option.split_key == "split" else f" --split-key {option.split_key}"
        self.options = f"--dataset {option.name}{root}{key}"

    def has(self, kind: str) -> bool:
        """Whether the folder holds the features of a kind, with their list of ids."""
        path = self.root / "features" / f"{kind}.npy"
        return path.exists() and path.with_suffix(".json").exists()


def read_model(path: Path, size: str) -> dict[str, Any]:
    """Read a model's config at a size: its own base first, ``by_size`` decided, links to its own keys followed.

    Raises:
        OSError: The file, or that of its base, cannot be read.
        yaml.YAMLError: It is no YAML.
    """
    with requires_extra("train"):
        import yaml
    config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    merged: dict[str, Any] = {}
    for base in config.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":
            merged |= yaml.safe_load(path.with_name(f"{base}.yaml").read_text(encoding="utf-8")) or {}
    merged |= config
    sized = _sized(merged, size, yaml)
    return dict(_linked(sized, sized))


def _sized(node: Any, size: str, yaml: Any) -> Any:
    if isinstance(node, dict):
        return {key: _sized(part, size, yaml) for key, part in node.items()}
    if isinstance(node, list):
        return [_sized(part, size, yaml) for part in node]
    if isinstance(node, str) and (found := _BY_SIZE.match(node)):
        return yaml.safe_load(found[1]).get(size)
    return node


def _linked(node: Any, config: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _linked(part, config) for key, part in node.items()}
    if isinstance(node, str) and (found := _LINK.match(node)):
        value: Any = config
        for key in found[1].split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value
    return node


def requirements(config: Mapping[str, Any], found: Found | None, checkout: Path) -> Iterator[Requirement]:
    """What a model requires of a data set and of the model hub.

    Args:
        config: Of `read_model`.
        found: The data set; None: nothing is checked.
        checkout: Where paths in configs start.
    """
    inputs = config.get("inputs") or {}
    image, text = inputs.get("image"), inputs.get("text")
    if image == "global":
        yield _features("vgg19", "fixed descriptors", found, " (with the extra gpu)")
    elif image == "regions":
        yield _features("regions", "fixed descriptors", found, " --from FILE")
    if image is not None:
        yield _images(found, is_precomputed=isinstance(image, str) and found is not None and found.has(_file(image)))
    if text == "doc2vec":
        yield _features("doc2vec", "Doc2Vec of the training captions", found, "")
    elif text == "bert":
        yield _bert(found)
    elif isinstance(text, dict):
        for key in _TEXT_SOURCES:
            if isinstance(text.get(key), str):
                requirement = _source(f"text {key}", text[key], checkout)
                is_known = found is not None or requirement.state != "missing"
                yield requirement if is_known else replace(requirement, state="required")
    if _takes_classes(config.get("module")):
        yield _labels(found)
    for key in ("weights", "checkpoint"):
        if isinstance(config.get(key), str):
            yield _source(key, config[key], checkout)


def _file(image: str) -> str:
    return {"global": "vgg19", "regions": "regions"}.get(image, image)


def _command(name: str, found: Found | None) -> str:
    return f"fico {name} {found.options if found else '--dataset NAME --root DIR'}"


def _features(kind: str, otherwise: str, found: Found | None, more: str) -> Requirement:
    what, get = f"features/{kind}.npy", f"{_command(f'features {kind}', found)}{more}"
    if found is None:
        return Requirement(what, "required", f"{get}; without: {otherwise}")
    return (
        Requirement(what, "there")
        if found.has(kind)
        else Requirement(what, "made by the run", f"{otherwise}; else {get}")
    )


def _bert(found: Found | None) -> Requirement:
    state: State = "required" if found is None else "there" if found.has("bert") else "missing"
    return Requirement("features/bert.npy", state, "" if state == "there" else _command("features bert", found))


def _images(found: Found | None, is_precomputed: bool) -> Requirement:
    if found is None:
        return Requirement("images", "required")
    if is_precomputed or not found.missing_images:
        return Requirement(f"{found.images:,} images", "there")
    can_fetch = found.name in recipe_names()
    get = f"fico prepare {found.name} --root {found.root}" if can_fetch else f"put them into {found.root}"
    return Requirement(f"{found.missing_images:,} of {found.images:,} images", "missing", get)


def _labels(found: Found | None) -> Requirement:
    if found is None:
        return Requirement("labels", "required", f"{_command('label q2l', None)} --weights FILE")
    if found.has_labels:
        return Requirement("labels", "there")
    return Requirement("labels", "missing", f"{_command('label q2l', found)} --weights FILE, or fico label zeroshot")


def _source(what: str, value: str, checkout: Path) -> Requirement:
    """A file, a folder or a hub name."""
    if (checkout / value).exists() or Path(value).expanduser().exists():
        return Requirement(f"{what} {value}", "there")
    if _HUB_NAME.match(value) and not value.endswith(_FILES):
        if _is_cached(value):
            return Requirement(f"{what} {value}", "there")
        return Requirement(f"{what} {value}", "made by the run", "fetched from the hub, or give a folder that holds it")
    return Requirement(
        f"{what} {value}", "missing", f"put the authors' file there, or give its path as model.{_key(what)}"
    )


def _key(what: str) -> str:
    side, _, key = what.partition(" ")
    return f"inputs.{side}.{key}" if key else side


def _is_cached(name: str) -> bool:
    with requires_extra("models"):
        from huggingface_hub import constants
    folder = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
    return folder.is_dir() and any(folder.iterdir())


def _takes_classes(node: Any) -> bool:
    """Whether a part of the model is as wide as the data set has categories."""
    if isinstance(node, dict):
        return any((key == "classes" and part is None) or _takes_classes(part) for key, part in node.items())
    return isinstance(node, list) and any(map(_takes_classes, node))
