"""``fico features``: precomputes the features of a data set, one file for each kind."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fico.cli.data.dataset_option import DatasetOption
from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.features.writer import RowFile, Step
from fico.util.atomic import sha256
from fico.util.units import bytes_text

Report = Callable[[str], None]
Steps = tuple[Callable[[int], Iterator[Step]], int]  # the writer's steps and their number


def make_vgg19(
    option: DatasetOption,
    *,
    layer: Any,
    resize: Any,
    weights: Path | None,
    device: str | None,
    overwrite: bool,
    report: Report,
    network: Any = None,
) -> Path:
    """Write ``features/vgg19.npy``; see `fico.features.image.vgg19`.

    Args:
        option: The data set.
        layer: ``fc7_pre_relu`` or ``fc7_post_relu``.
        resize: ``squash224``, ``crop224`` or ``caffe224``.
        weights: State dict; None: torchvision's ImageNet-1k.
        device: Torch device; None: a GPU where there is one.
        overwrite: Replace features of other settings.
        report: Takes progress messages.
        network: Replaces VGG-19.

    Raises:
        UsageError: torchvision is missing, an option is unknown, or features of other settings exist.
        DataError: The data set, an image or the weights are broken.
    """
    from fico.features.image.vgg19 import vgg19, vgg19_file, vgg19_steps

    dataset = option.open()
    splits = option.read(dataset)
    name = "torchvision IMAGENET1K_V1" if weights is None else sha256(weights) if weights.is_file() else str(weights)
    file = vgg19_file(dataset.root, splits, layer=layer, resize=resize, weights=name)
    if file.is_whole:
        return _report_rows(file, report, was_there=True)
    file.check(overwrite=overwrite)
    network = network or vgg19(weights, device or pick_device())
    return fill(file, vgg19_steps(splits, network, layer=layer, resize=resize), overwrite, report)


def make_lite0(option: DatasetOption, *, kind: Any, overwrite: bool, report: Report) -> Path:
    """Write ``features/lite0.npy`` or ``features/lite0_regions.npy``; see `fico.features.image.lite0`.

    Args:
        option: The data set.
        kind: ``global``: one vector an image; ``regions``: one for each of 7 x 7 cells.
        overwrite: Replace features of other settings.
        report: Takes progress messages.

    Raises:
        UsageError: The weights are not installed, or features of other settings exist.
        DataError: The data set or an image is broken.
    """
    from fico.features.image.lite0 import lite0_file, lite0_steps
    from fico.networks.efficientnet_lite import lite0_weights

    lite0_weights()
    dataset = option.open()
    splits = option.read(dataset)
    return fill(lite0_file(dataset.root, splits, kind), lite0_steps(splits, kind, report=report), overwrite, report)


def make_doc2vec(option: DatasetOption, *, fit_on: str, seed: int, overwrite: bool, report: Report) -> Path:
    """Write ``features/doc2vec.npy``; see `fico.features.text.doc2vec`.

    Args:
        option: The data set.
        fit_on: ``train``: captions of that split; ``all``: those of all splits, test included, as FiCo-ITR's toolkit
            does.
        seed: Of the fit.
        overwrite: Replace features of other settings.
        report: Takes progress messages.

    Raises:
        UsageError: ``fit_on`` is neither, or features of other settings exist.
        DataError: The data set is broken.
    """
    from fico.features.text.doc2vec import DIM, FIT_VERSION, fitted_once, infer

    if fit_on not in ("train", "all"):
        raise UsageError(f"--fit-on is {fit_on!r}; give train or all")
    dataset = option.open()
    splits = option.read(dataset)
    seen = splits if fit_on == "all" else {"train": splits.get("train") or dataset.split("train")}
    documents = [caption for split in seen.values() for caption in split.captions]
    ids = [item for split in splits.values() for item in split.caption_ids]
    settings = {"fit_on": fit_on, "seed": seed, "fitted": _digest(documents), "captions": _digest(_captions(splits))}
    settings |= {"fit_version": FIT_VERSION}
    source = "the training captions" if fit_on == "train" else "all captions, those of the test too"
    file = RowFile(dataset.root, "doc2vec", ids, (DIM,), f"Doc2Vec (PV-DM, {DIM} values), fitted on {source}", settings)
    captions, block = _captions(splits), 1024

    def steps(done: int) -> Iterator[Step]:
        model = fitted_once(documents, seed=seed)
        for start in range(done * block, len(captions), block):
            part = captions[start : start + block]
            yield slice(start, start + len(part)), infer(model, part, seed=seed, progress=False)

    return fill(file, (steps, -(-len(captions) // block)), overwrite, report)


def make_bert(
    option: DatasetOption,
    *,
    model: str,
    words: int,
    half: bool,
    device: str | None,
    overwrite: bool,
    report: Report,
) -> Path:
    """Write ``features/bert.npy``; see `fico.features.text.bert`.

    Args:
        option: The data set.
        model: Folder or hub name of a BERT.
        words: Word pieces of a caption, special tokens included.
        half: Store float16; models read it as float32.
        device: Torch device; None: a GPU where there is one.
        overwrite: Replace features of other settings.
        report: Takes progress messages.

    Raises:
        UsageError: Features of other settings exist.
        DataError: The data set or the model is broken.
    """
    from fico.features.text.bert import FrozenBert, bert_file, bert_steps

    dataset = option.open()
    splits = option.read(dataset)
    bert = FrozenBert(model, words, device or pick_device())
    file = bert_file(dataset.root, splits, bert, dtype="<f2" if half else "<f4")
    return fill(file, bert_steps(splits, bert), overwrite, report)


def make_regions(
    option: DatasetOption,
    *,
    sources: list[Path],
    ids_file: Path | None,
    ids_are: str,
    overwrite: bool,
    report: Report,
) -> Path:
    """Write ``features/regions.npy`` from exports of bottom-up attention; see `fico.features.image.region_files`.

    Args:
        option: The data set.
        sources: ``.tsv``, ``.npy``, ``.h5`` files or folders of ``.npz``.
        ids_file: Ids of the rows of a ``.npy``; default ``<split>_ids.txt`` next to it.
        ids_are: ``image``: the data set's own ids; ``imgid``: those of the field of that name in its JSON.
        overwrite: Replace features of other settings.
        report: Takes progress messages.

    Raises:
        UsageError: A source has another suffix, or features of other settings exist.
        DataError: The data set or a source is broken, or images of the data set are in no source.
    """
    from fico.features.image.region_source import imgid_names, region_file, region_steps, region_streams

    if ids_are not in ("image", "imgid"):
        raise UsageError(f"--ids-are is {ids_are!r}; give image or imgid")

    dataset = option.open()
    splits = option.read(dataset)
    streams = region_streams(sources, ids_file)
    names = imgid_names(dataset) if ids_are == "imgid" else None
    file = region_file(dataset.root, splits, streams, sources)
    return fill(file, region_steps(file, streams, names), overwrite, report)


def fill(file: RowFile, steps: Steps, overwrite: bool, report: Report) -> Path:
    """Write a file of rows unless it exists already.

    Args:
        file: What to write.
        steps: Of `RowFile.write`, with their number.
        overwrite: Of `RowFile.write`.
        report: Takes progress messages.

    Raises:
        UsageError: A finished file of other settings exists.
        DataError: The disk is too small, or rows were not filled.
    """
    if file.is_whole:
        return _report_rows(file, report, was_there=True)
    file.check(overwrite=overwrite)
    shape = " x ".join(f"{side:,}" for side in (len(file.ids), *file.shape))
    report(f"{file.path} will hold {shape} {np.dtype(file.dtype).name}, {bytes_text(file.size_bytes)}")
    file.write(*steps, overwrite=overwrite)
    return _report_rows(file, report)


def _report_rows(file: RowFile, report: Report, was_there: bool = False) -> Path:
    verb = "is there already" if was_there else "is written"
    report(f"{file.path} {verb}: {len(file.ids):,} rows, {file.origin}")
    return file.path


def pick_device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _captions(splits: dict[str, RetrievalSplit]) -> list[str]:
    return [caption for split in splits.values() for caption in split.captions]


def _digest(captions: list[str]) -> str:
    return hashlib.sha256("\n".join(captions).encode()).hexdigest()
