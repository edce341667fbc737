"""Whether the parts of a config go together: model, features, data set, sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.datasets.pairs.columns import ColumnNames
from fico.datasets.pairs.find_pairs import check_columns
from fico.datasets.prepared import check_prepared
from fico.datasets.shapes.size import FEWEST_IMAGES, require_resources, shapes_folder, split_counts
from fico.errors import UsageError
from fico.experiment.config.bench import is_bench
from fico.experiment.config.cascade import cascade_request, is_cascade
from fico.experiment.config.resolvers import dataset_name, features_name
from fico.external.eccv_caption import annotations_folder


def check_data(config: DictConfig) -> None:
    """Refuse data that are not there or do not fit, before anything heavy is imported.

    Raises:
        DataError: A well-known data set is not in its folder: what is missing, and the command that gets it.
        UsageError: The task needs labels that the folder has not, the invented scenes need more memory or disk than is
            free, the runs of a cascade do not go together, or ``model.source`` has no float vector an item.
    """
    if is_cascade(config):
        cascade_request(config)
    if is_cascade(config) or is_bench(config):
        return
    _check_source(config)
    if dataset_name(config) == "shapes":
        _check_room(config.dataset)
        _check_drawn(config.dataset)
    root = OmegaConf.select(config, "dataset.root")
    if root and isinstance(root, str):  # anything else is refused with the other values
        check_prepared(dataset_name(config), root)
        if "image_column" in config.dataset:
            columns = (config.dataset.get(f"{role}_column") for role in ("image", "caption", "split"))
            check_columns(Path(root).expanduser(), ColumnNames(*columns))
        if list(OmegaConf.select(config, "metric.tasks") or ()) == ["category"]:
            _check_labels(config.dataset, dataset_name(config))


def _check_source(config: DictConfig) -> None:
    source = OmegaConf.select(config, "model.source")
    if source is not None and Path(str(source)).is_dir():  # another one is refused with the other values
        from fico.inference.run_embeddings import RunEmbeddings

        RunEmbeddings(str(source), "image").check(None)


def _check_room(dataset: DictConfig) -> None:
    images, root = dataset.get("images"), dataset.get("root")
    if type(images) is int and images >= FEWEST_IMAGES and isinstance(root, str | None):
        require_resources(images, shapes_folder(images, dataset.get("seed"), root))


def _check_drawn(dataset: DictConfig) -> None:
    """Refuse more images for a role of the hashing protocol than the scenes are; all of them are labelled."""
    images, subset = dataset.get("images"), dataset.get("subset")
    if type(images) is not int or dataset.get("protocol") != "hashing":
        return
    most = subset if type(subset) is int else images  # anything else is refused with the other values
    total = sum(min(count, most) for count in split_counts(images).values())
    for key in ("protocol_queries", "protocol_train", "protocol_validation"):
        if type(count := dataset.get(key)) is int and count > total:
            raise UsageError(f"dataset.{key} is {count}, but there are {total} images to draw from; lower it")


def _check_labels(dataset: DictConfig, name: str) -> None:
    """Of readers whose labels lie in the folder alone; others know theirs when the split is read."""
    is_reader = "label_files" in dataset or "image_column" in dataset
    if not is_reader or dataset.get("label_files"):
        return
    root = Path(dataset.root).expanduser()
    folder = root if root.is_dir() else root.parent
    is_labelled = (folder / "labels.npz").exists()
    if str(dataset.get("_target_")).endswith(".Coco"):
        from fico.datasets.karpathy.coco_instances import find_instances

        is_labelled = is_labelled or bool(find_instances(folder))
    if not is_labelled:
        raise UsageError(without_labels(f"{name} in {folder}"))


def without_labels(what: str) -> str:
    """Why the category task cannot be evaluated, and what to do."""
    return f"metric=category needs labels, but {what} has none; take metric=instance, or add labels (fico label --help)"


def check_pairing(config: DictConfig) -> None:
    """Refuse a model whose inputs the data set cannot have, or whose inputs ``features`` does not replace.

    A data set that comes as features lists them in ``inputs``.

    Nothing is imported for it, so it may come first and answers at once.

    Raises:
        UsageError: One sentence that names both and what is missing, or the extra that brings a package.
    """
    _check_features(config)
    _check_annotated(config)
    offered = OmegaConf.select(config, "dataset.inputs") or {}
    wanted = {side: _kind(side, reader) for side, reader in input_nodes(config).items() if side in offered}
    missing = [f"{kind} ({side})" for side, kind in wanted.items() if kind not in offered[side]]
    if missing:
        has = ", ".join(f"{kind} ({side})" for side, kinds in offered.items() for kind in kinds)
        raise UsageError(
            f"model={OmegaConf.select(config, 'model.name')} cannot run on this data set, which comes as features: it "
            f"needs {', '.join(missing)}, and there are only {has}; take a model that needs no others, such as ucch"
        )


def input_nodes(config: DictConfig) -> dict[str, Any]:
    """What each side of the model reads.

    Embeddings of ``model.source``, else what ``features`` has for the kind that the model names, else that kind.

    Returns:
        By side, ``image`` and ``text``: a name, or the node of a reader.
    """
    wanted = dict((OmegaConf.select(config, "model.inputs") or {}).items())
    if source := OmegaConf.select(config, "model.source"):
        target = "fico.inference.run_embeddings.RunEmbeddings"
        return {
            str(side): OmegaConf.create({"_target_": target, "run": str(source), "side": str(side)}) for side in wanted
        }
    readers = {side: OmegaConf.select(config, f"features.{side!s}") or {} for side in wanted}
    return {
        str(side): readers[side].get(kind, kind) if isinstance(kind, str) else kind for side, kind in wanted.items()
    }


def _check_annotated(config: DictConfig) -> None:
    """Refuse annotations of COCO's test split on another well-known data set, whose ids they cannot name."""
    sources = OmegaConf.select(config, "metric.positives") or {}
    known = [source for source in sources.values() if str(source).startswith("eccv_caption/")]
    if known and dataset_name(config) not in ("coco", "karpathy", "features", "pairs"):
        raise UsageError(
            f"{known[0]} annotates the test split of COCO, but the data set is {dataset_name(config)}; take "
            "dataset=coco, or metric=both"
        )
    if known:
        annotations_folder()


def _check_features(config: DictConfig) -> None:
    """Refuse features that would have no effect."""
    name = features_name(config)
    if name and OmegaConf.select(config, "model.source"):
        raise UsageError(f"features={name} has no effect beside model.source, which brings its own; leave features out")
    if name and input_nodes(config) == dict((OmegaConf.select(config, "model.inputs") or {}).items()):
        kinds = [str(kind) for side in ("image", "text") for kind in OmegaConf.select(config, f"features.{side}") or {}]
        raise UsageError(
            f"features={name} has no effect on model={OmegaConf.select(config, 'model.name')}, which reads none of "
            f"{', '.join(kinds)}; leave features out"
        )


def check_sweep(params: Mapping[str, Any] | None, overrides: Sequence[str]) -> None:
    """Refuse an experiment that lists models, run without ``-m``: it would start a run of the default model.

    Args:
        params: Hydra's ``sweeper.params``: what the experiment sweeps over.
        overrides: Of the command line.

    Raises:
        UsageError: A key of the sweep is not set by the command line.
    """
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    unset = [key for key in params or {} if key not in given]
    if unset:
        experiment = next((override for override in overrides if override.startswith("experiment=")), "it")
        raise UsageError(
            f"{experiment} is a sweep over {', '.join(unset)}; add -m, as python run.py -m {experiment}, or set "
            f"{' '.join(f'{key}=VALUE' for key in unset)} for one run"
        )


def _kind(side: str, reader: Any) -> Any:
    """Name of a side's features; a node is a reader of the images or captions themselves."""
    return {"image": "pixels", "text": "tokens"}[side] if isinstance(reader, DictConfig) else reader
