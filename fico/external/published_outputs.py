"""The authors' published outputs: embeddings and score matrices of twelve models on two data sets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool

from fico.correspondence import Correspondence
from fico.errors import DataError, FicoError, PathError, UsageError
from fico.external.model_outputs import ModelOutputs, Orientation, consecutive_captions, oriented, reduce_square
from fico.formats.arrays import load_array, load_labels
from fico.similarity import Similarity

Dataset = Literal["coco", "f30k"]
TITLES: dict[Dataset, str] = {"coco": "MS-COCO", "f30k": "Flickr30K"}
LABELS: dict[Dataset, tuple[str, ...]] = {
    "coco": ("coco-karpathy-testall-labels.npy", "coco-karpathy-testall-lall.mat"),
    "f30k": ("flickr30k-karpathy-test-labels.npy", "flickr30k-karpathy-test-lall.mat"),
}
COCO_INDEX = "mscoco_test_indices.npy"
CAPTIONS_PER_IMAGE = 5  # of both data sets, in the order of the images, where no index file says otherwise
MODELS = (
    "blip2", "blip2(nf)", "beit3", "xvlm", "xvlm(nf)", "imram", "vsrn", "scan",
    "adv(2048bit)", "adv(64bit)", "ucch", "dadh",
)  # fmt: skip
HASHING = ("adv(2048bit)", "adv(64bit)", "ucch", "dadh")
PARTS = ("img", "txt", "sim", "sim_i2t", "sim_t2i")


@dataclass(frozen=True, slots=True, eq=False)
class PublishedModel:
    """One model on one data set.

    Args:
        model: Its name in the file names.
        dataset: ``coco`` or ``f30k``.
        outputs: What the files hold.
        notes: What was transposed or reduced.
    """

    model: str
    dataset: Dataset
    outputs: ModelOutputs
    notes: tuple[str, ...]


def find_published(folder: Path) -> list[tuple[str, Dataset]]:
    """Models and data sets that the folder has files of, in the order of the paper's tables.

    Raises:
        DataError: The folder is missing, or holds no file of the published names.
    """
    if not folder.is_dir():
        raise PathError(
            f"{folder} is not a folder; give the one with the published outputs (<model>_<dataset>_img.npy, ...)"
        )
    found = [(m, d) for d in get_args(Dataset) for m in MODELS if _files(folder, m, d)]
    if not found:
        raise DataError(
            f"{folder} holds no published output; expected files such as beit3_f30k_img.npy or imram_coco_sim.npy"
        )
    return found


def read_published(
    folder: Path, model: str, dataset: Dataset, t2i_orientation: Orientation | None = None
) -> PublishedModel:
    """Reads one model's files, in whichever of the collection's layouts they are.

    Args:
        folder: Where they are.
        model: Name in the file names.
        dataset: ``coco`` or ``f30k``.
        t2i_orientation: How a t2i matrix with as many images as captions is stored. Elsewhere its shape decides.

    Raises:
        DataError: A file is missing or broken, or shapes fit neither each other nor the labels.
        UsageError: A t2i matrix can be read both ways and ``t2i_orientation`` is None.
    """
    files = _files(folder, model, dataset)
    arrays = {part: load_array(str(path)) for part, path in files.items()}
    correspondence = _correspondence(folder, dataset, arrays)
    labels = _labels(folder, dataset, int(correspondence.caption_to_image.max()) + 1)
    if "img" in arrays or "txt" in arrays:
        return _embeddings(model, dataset, arrays, correspondence, labels)
    return _scores(model, dataset, arrays, correspondence, labels, t2i_orientation)


def _files(folder: Path, model: str, dataset: str) -> dict[str, Path]:
    paths = {part: folder / f"{model}_{dataset}_{part}.npy" for part in PARTS}
    return {part: path for part, path in paths.items() if path.is_file()}


def _labels(folder: Path, dataset: Dataset, images: int) -> Bool[np.ndarray, "images classes"] | None:
    """The labels of this data set; those of the other would fit by their columns too, and are never borrowed."""
    path = next((folder / name for name in LABELS[dataset] if (folder / name).is_file()), None)
    if path is None:
        return None
    labels = load_labels(str(path))
    if len(labels) != images:
        raise DataError(
            f"{path} has {len(labels)} rows, but the captions are those of {images} images; if some images have more "
            f"than {CAPTIONS_PER_IMAGE} captions, put {COCO_INDEX} into the same folder"
        )
    return labels


def _correspondence(folder: Path, dataset: Dataset, arrays: dict[str, np.ndarray]) -> Correspondence:
    captions = _captions(arrays)
    index = folder / COCO_INDEX
    if dataset == "coco" and index.is_file():
        rows = Correspondence(np.squeeze(load_array(str(index))))
        if len(rows.caption_to_image) == captions:
            return rows
    return consecutive_captions(captions, CAPTIONS_PER_IMAGE)


def _captions(arrays: dict[str, np.ndarray]) -> int:
    """Captions are always the longer side: an image has at least one, and square files repeat it for each."""
    if "txt" in arrays:
        return len(arrays["txt"])
    scores = next((arrays[part] for part in ("sim", "sim_i2t", "sim_t2i") if part in arrays), None)
    if scores is None:
        raise DataError("there are image embeddings without captions; the file ending in _txt.npy is missing")
    return int(max(scores.shape))


def _embeddings(
    model: str,
    dataset: Dataset,
    arrays: dict[str, np.ndarray],
    correspondence: Correspondence,
    labels: Bool[np.ndarray, "images classes"] | None,
) -> PublishedModel:
    missing = {"img", "txt"} - set(arrays)
    if missing:
        raise DataError(f"{model}_{dataset}_{missing.pop()}.npy is missing; embeddings need both sides")
    similarity: Similarity = "hamming" if model in HASHING else "cosine"
    outputs = ModelOutputs(
        correspondence, images=arrays["img"], texts=arrays["txt"], labels=labels, similarity=similarity
    )
    return _unsquared(model, dataset, outputs, ())


def _scores(
    model: str,
    dataset: Dataset,
    arrays: dict[str, np.ndarray],
    correspondence: Correspondence,
    labels: Bool[np.ndarray, "images classes"] | None,
    orientation: Orientation | None,
) -> PublishedModel:
    captions = len(correspondence.caption_to_image)
    images = int(correspondence.caption_to_image.max()) + 1
    notes: list[str] = []
    if "sim" in arrays:
        i2t = _images_first(arrays["sim"], images, captions, notes)
        t2i = i2t.T
    else:
        missing = {"sim_i2t", "sim_t2i"} - set(arrays)
        if missing:
            raise DataError(f"{model}_{dataset}_{missing.pop()}.npy is missing; a model with two directions needs both")
        i2t = _images_first(arrays["sim_i2t"], images, captions, notes)
        t2i = _captions_first(arrays["sim_t2i"], images, captions, orientation, notes)
    outputs = ModelOutputs(correspondence, i2t=i2t, t2i=t2i, labels=labels)
    return _unsquared(model, dataset, outputs, tuple(notes))


def _images_first(scores: np.ndarray, images: int, captions: int, notes: list[str]) -> np.ndarray:
    if scores.shape == (captions, images) and images != captions:
        notes.append("the score matrix is stored captions x images and was transposed")
        return scores.T
    return scores


def _captions_first(
    scores: np.ndarray, images: int, captions: int, orientation: Orientation | None, notes: list[str]
) -> np.ndarray:
    if scores.shape[0] == scores.shape[1]:
        if orientation is None:
            raise UsageError(
                f"the t2i matrix is {scores.shape[0]} x {scores.shape[1]} and can be read both ways; "
                f"say --t2i-orientation {' or '.join(get_args(Orientation))}"
            )
        return oriented(scores, orientation)
    if scores.shape == (images, captions):
        notes.append("the t2i matrix is stored images x captions and was transposed")
        return scores.T
    return scores


def _unsquared(model: str, dataset: Dataset, outputs: ModelOutputs, notes: tuple[str, ...]) -> PublishedModel:
    """One row per image, also where the files repeat an image for each of its captions."""
    images = int(outputs.correspondence.caption_to_image.max()) + 1
    if outputs.image_count == images:
        return PublishedModel(model, dataset, outputs, notes)
    if outputs.image_count != outputs.caption_count:
        raise FicoError(
            f"{model} on {TITLES[dataset]} has {outputs.image_count} image rows; expected {images}, "
            f"or {outputs.caption_count} with each image repeated for its captions"
        )
    note = f"{outputs.caption_count} image rows are copies of {images} images; each counts once"
    return PublishedModel(model, dataset, reduce_square(outputs), (*notes, note))
