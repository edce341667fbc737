"""``fico label``: pseudo-labels of a data set's images by a model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fico.cli.data.dataset_option import DatasetOption
from fico.cli.features import fill, pick_device
from fico.datasets.base import RetrievalDataset, RetrievalSplit
from fico.datasets.labels import LabelFile
from fico.errors import DataError, UsageError
from fico.features.writer import RowFile, Step
from fico.formats.text import read_lines
from fico.labels.agreement import agreement
from fico.labels.classes import COCO80
from fico.labels.file import check_target, write_labels
from fico.labels.preview import Labelled, write_preview

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabelOutput:
    """Where labels go.

    Args:
        out: The label file; default ``labels.npz`` of the data set's folder, which its readers take.
        overwrite: Replace pseudo-labels or scores of other settings.
        preview: Images on the preview page next to the label file; 0 writes none.
        truth: A label file to compare with.
        report: Takes progress messages.
    """

    out: Path | None
    overwrite: bool
    preview: int
    truth: Path | None
    report: Report

    def target(self, dataset: RetrievalDataset) -> Path:
        """The label file.

        Raises:
            UsageError: It would replace labels of people or of other settings, or is no ``.npz``.
        """
        path = self.out or dataset.root / "labels.npz"
        if path.suffix != ".npz":
            raise UsageError(f"--out is {path}; give a file that ends with .npz")
        check_target(path, overwrite=self.overwrite)
        return path

    def write(
        self,
        path: Path,
        splits: Mapping[str, RetrievalSplit],
        scores: np.ndarray,
        labels: np.ndarray,
        classes: Sequence[str],
        origin: Mapping[str, Any],
        name: str,
    ) -> Path:
        """Write the label file and its preview page."""
        ids = [item for split in splits.values() for item in split.image_ids]
        paths = [path for split in splits.values() for path in split.image_paths]
        counts = write_labels(path, ids, labels, classes, origin)
        self.report(f"{path} is written: pseudo-labels of {origin['made_by']}; {counts}")
        if self.truth is not None:
            self.report(f"against {self.truth}: {_compared(self.truth, ids, scores, labels, classes)}")
        if self.preview:
            page = path.with_name(f"{path.stem}_preview.html")
            write_preview(
                page, Labelled(ids, paths, scores, labels, classes), dataset=name, origin=origin, images=self.preview
            )
            self.report(f"{page} shows {min(self.preview, len(ids))} images with their labels")
        return path


def label_q2l(
    option: DatasetOption,
    output: LabelOutput,
    *,
    weights: Path,
    config: Path | None,
    threshold: float,
    normalisation: Any,
    size: int | None,
    device: str | None,
) -> Path:
    """Labels by Query2Label; see `fico.labels.q2l`.

    Args:
        option: The data set.
        output: Where the labels go.
        weights: ``checkpoint.pkl`` of the authors.
        config: ``config_new.json`` of the authors.
        threshold: Lowest probability of an assigned class.
        normalisation: ``model`` or ``none``.
        size: Side of the input, instead of the config's.
        device: Torch device; None: a GPU where there is one.

    Raises:
        UsageError: An option is out of its range, or labels or scores of other settings exist.
        DataError: The data set, an image or the weights are broken.
    """
    from fico.labels.q2l import Labeller, Query2LabelConfig, probability_file, probability_steps, to_labels

    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold is {threshold}; give a probability above 0 and at most 1")
    dataset = option.open()
    splits, target = option.read(dataset), output.target(dataset)
    released = None if config is None else Query2LabelConfig.read(config)
    labeller = Labeller(weights, released, normalisation=normalisation, image_size=size, device=device or pick_device())
    file = probability_file(dataset.root, splits, labeller)
    scores = _scores(file, probability_steps(splits, labeller), output)
    labels = to_labels(scores, threshold)
    origin = labeller.origin | {"threshold": threshold}
    return output.write(target, splits, scores, labels, labeller.classes, origin, dataset.name)


def label_zeroshot(
    option: DatasetOption,
    output: LabelOutput,
    *,
    model: str,
    classes: str,
    template: str,
    threshold: float | None,
    top_k: int | None,
    device: str | None,
) -> Path:
    """Labels by a dual encoder; see `fico.labels.zeroshot`.

    Args:
        option: The data set.
        output: Where the labels go.
        model: Folder or hub name.
        classes: ``coco80``, or a text file with one name a line.
        template: Prompt with ``{}`` for the class name.
        threshold: Lowest score of an assigned class, in standard deviations above its mean; without ``top_k`` 2.
        top_k: Instead, the number of classes per image.
        device: Torch device; None: a GPU where there is one.

    Raises:
        UsageError: An option is out of its range, or labels or scores of other settings exist.
        DataError: The data set, an image, the classes or the model are broken.
    """
    from fico.labels.zeroshot import ZeroShotLabeller, calibrated, chosen, cosine_file, cosine_steps

    names = _class_names(classes)
    threshold = 2.0 if threshold is None and top_k is None else threshold
    chosen(
        np.zeros((1, len(names)), np.float32), threshold=threshold, top_k=top_k
    )  # refuses wrong options before the work
    dataset = option.open()
    splits, target = option.read(dataset), output.target(dataset)
    labeller = ZeroShotLabeller(model, names, template=template, device=device or pick_device())
    scores = calibrated(_scores(cosine_file(dataset.root, splits, labeller), cosine_steps(splits, labeller), output))
    labels = chosen(scores, threshold=threshold, top_k=top_k)
    how = {"threshold": threshold, "top_k": top_k, "score": "deviations above the mean cosine of the class"}
    return output.write(target, splits, scores, labels, names, labeller.origin | how, dataset.name)


def _scores(file: RowFile, steps: tuple[Callable[[int], Iterator[Step]], int], output: LabelOutput) -> np.ndarray:
    """Scores of all images, computed or read; scores are not labels, so they may always be replaced."""
    path = fill(file, steps, overwrite=True, report=output.report)
    scores: np.ndarray = np.load(path, mmap_mode="r")
    return scores


def _class_names(classes: str) -> tuple[str, ...]:
    if classes == "coco80":
        return tuple(COCO80.values())
    path = Path(classes)
    try:
        names = tuple(line for line in read_lines(path) if line)
    except DataError as error:
        raise UsageError(f"--classes is {classes!r}; give coco80, or a text file with one class name a line") from error
    if len(names) < 2 or len(set(names)) != len(names):
        raise DataError(
            f"{path} holds {len(names)} names, {len(set(names))} of them distinct; give two or more, each once"
        )
    return names


def _compared(truth: Path, ids: Sequence[str], scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    reference = LabelFile(truth)
    if reference.labels.shape[1] != len(classes):
        raise DataError(
            f"{truth} has {reference.labels.shape[1]} classes, the model {len(classes)}; give labels of the same"
        )
    return str(agreement(np.asarray(scores), labels, reference.of(ids)))
