"""The data of a run: its splits and the features that the model reads."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.datasets.hashing.protocol_splits import hashing_splits
from fico.datasets.hashing.roles import HashingProtocol
from fico.datasets.subset import first_images
from fico.errors import UsageError
from fico.experiment.build import build
from fico.experiment.config.pairing import input_nodes, without_labels
from fico.experiment.config.targets import DATASET_EXTRAS, PROTOCOL_KEYS
from fico.experiment.config.throughput import AUTO, DEFAULTS
from fico.experiment.datamodule import RetrievalDataModule
from fico.external.positives import further_positives
from fico.features import model_inputs
from fico.features.base import FeatureReader
from fico.features.text.authors_vocabulary import AuthorsWords
from fico.loading.copies import copied_inputs, copied_split


def build_data(config: DictConfig) -> RetrievalDataModule:
    """Read the splits of the run and build the inputs of its model.

    Args:
        config: The composed config.

    Raises:
        FicoError: The data set cannot be read, or has no features of the kind that the model reads.
    """
    readers = {
        side: build(node) if isinstance(node, DictConfig) else node for side, node in input_nodes(config).items()
    }
    root = config.dataset.get("root")
    for reader in readers.values():
        if isinstance(reader, FeatureReader):
            reader.check(Path(root) if root else None)
    dataset: RetrievalDataset = build(
        {key: value for key, value in config.dataset.items() if key not in DATASET_EXTRAS}
    )
    if config.dataset.get("subset") is not None:
        dataset = first_images(dataset, config.dataset.subset)
    if config.dataset.get("protocol") == "hashing":
        given = {key.removeprefix("protocol_"): config.dataset.get(key) for key in PROTOCOL_KEYS}
        protocol = HashingProtocol(**{name: value for name, value in given.items() if value is not None})
        dataset = hashing_splits(dataset, protocol)
    tested = config.dataset.split
    # Text features (vocabulary, Doc2Vec) are fitted on the training split, which a test alone needs too.
    names = dict.fromkeys(("train", "val", tested) if "fit" in config.stage else ("train", tested))
    splits = {name: dataset.split(name) for name in names}
    evaluated = {name: splits[name] for name in (tested, *(["val"] if "fit" in config.stage else []))}
    _check_labels(config, evaluated)
    _check_folds(config, evaluated)
    _check_positives(config, splits[tested])
    _check_bank(config, splits["train"])
    if config.model.get("vocabulary"):
        readers["text"] = AuthorsWords(config.model.vocabulary)
    inputs = model_inputs(dataset, list(splits), **readers)
    copies, is_encoded = config.dataset.get("copies"), "encode" in config.stage
    if copies is not None and not is_encoded:
        if "fit" in config.stage and tested in ("train", "val"):
            raise UsageError(
                f"dataset.copies repeats split {tested}, which the training uses too; take dataset.split=test"
            )
        splits[tested] = copied_split(splits[tested], copies)
        own = {**inputs.splits, tested: copied_inputs(inputs.splits[tested], copies)}
        inputs = replace(inputs, splits=own)
    speed = config.throughput
    batch = DEFAULTS["evaluation_batch"] if speed.evaluation_batch == AUTO else speed.evaluation_batch
    return RetrievalDataModule(
        splits,
        inputs,
        test_split=tested,
        batch_size=config.model.batch_size,
        seed=config.seed,
        copies=copies if is_encoded else None,
        workers=speed.workers,
        evaluation_batch=batch,
        pin_memory=speed.pin_memory,
    )


def _check_positives(config: DictConfig, split: RetrievalSplit) -> None:
    """Refuse further positives that are not of the tested split, before anything is trained."""
    if sources := OmegaConf.select(config, "metric.positives"):
        further_positives(dict(sources.items()), split.image_ids, split.caption_ids, split.correspondence)


def _check_bank(config: DictConfig, train: RetrievalSplit) -> None:
    """Refuse more neighbours than the training split has images and captions, before anything is trained."""
    if OmegaConf.select(config, "metric.hubness_correction") != "nnn":
        return
    least = min(len(train.image_ids), len(train.caption_ids))
    if config.metric.nnn_k > least:
        raise UsageError(f"metric.nnn_k={config.metric.nnn_k} is more than split train has, {least}; lower it")


def _check_labels(config: DictConfig, evaluated: Mapping[str, RetrievalSplit]) -> None:
    """Refuse the category task alone where a split that is evaluated has no labels, before anything is trained."""
    missing = [name for name, split in evaluated.items() if split.labels is None]
    if missing and list(config.metric.tasks) == ["category"]:
        raise UsageError(without_labels(f"split {missing[0]} of {evaluated[missing[0]].dataset}"))


def _check_folds(config: DictConfig, evaluated: Mapping[str, RetrievalSplit]) -> None:
    """Refuse more folds than a split that is evaluated has images, before anything is trained."""
    folds, copies = config.metric.get("folds") or 1, config.dataset.get("copies") or 1
    for name, split in evaluated.items():
        if folds > len(split.image_ids) * copies:
            raise UsageError(
                f"metric.folds={folds} is more than split {name} has images, {len(split.image_ids)}; lower it"
            )
