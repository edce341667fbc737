"""Zero-shot labels of a dual encoder: the cosine of an image with a sentence about each class, calibrated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32

from fico.correspondence import Correspondence
from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.features.image.blocks import ImageBlocks
from fico.features.image.processor import ProcessorPixels
from fico.features.text.tokenizer import FolderTokens
from fico.features.writer import RowFile, Step
from fico.networks.checkpoint_io.load import weights_digest
from fico.networks.dual_encoder import DualEncoder

BLOCK = 32  # images at once
TEMPLATE = "a photo of a {}."
PLACE = "{}"
_CONSTANT = 1e-6  # a cosine in float32 that varies by less does not vary


class ZeroShotLabeller:
    """A dual encoder and one sentence for each class.

    Args:
        source: Folder in the form of transformers, or a hub name.
        classes: Names of the classes.
        template: Sentence with ``{}`` in the place of the name.
        device: Where it runs, as torch names it.

    Raises:
        UsageError: The template has no place for the name.
        DataError: The folder lacks a file, or holds no dual encoder.
    """

    def __init__(self, source: str, classes: Sequence[str], *, template: str = TEMPLATE, device: str = "cpu") -> None:
        if PLACE not in template:
            raise UsageError(f"the template {template!r} has no {PLACE}; put it where the name of the class goes")
        self.source, self.classes, self.template, self._device = source, tuple(classes), template, device
        self.pixels = ProcessorPixels(source)
        tokens = FolderTokens(source)
        encoder = DualEncoder(source, vocab_size=tokens.sizes["vocab_size"]).load_released(source)
        self._encoder = encoder.eval().to(device)
        self._weights = weights_digest(self._encoder)
        self._sentences = self._encoded(tokens)

    @torch.inference_mode()
    def cosines(self, images: Float32[np.ndarray, "images ..."]) -> Float32[np.ndarray, "images classes"]:
        """Cosine of each image with the sentence of each class."""
        vectors: torch.Tensor = self._encoder.encode_images(torch.from_numpy(images).to(self._device))
        made: np.ndarray = (vectors.cpu() @ self._sentences.T).numpy()
        return made

    @property
    def origin(self) -> dict[str, str]:
        """What a label file says about where its labels come from."""
        made_by = f"zero-shot labels of {Path(self.source).name}"
        return {"made_by": made_by, "template": self.template, "weights_sha256": self._weights}

    @torch.inference_mode()
    def _encoded(self, tokens: FolderTokens) -> torch.Tensor:
        rows = tokens.ids(_sentences([self.template.replace(PLACE, name) for name in self.classes]))
        lengths = torch.tensor([len(row) for row in rows])
        padded = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for row, ids in zip(padded, rows, strict=True):
            row[: len(ids)] = torch.from_numpy(ids)
        vectors: torch.Tensor = self._encoder.encode_texts(padded.to(self._device), lengths.to(self._device))
        return vectors.cpu()


def calibrated(cosines: Float32[np.ndarray, "images classes"]) -> Float32[np.ndarray, "images classes"]:
    """How many deviations each cosine lies above the mean of its class over all images.

    Cosines of a dual encoder differ more between sentences than between images, so one threshold for all classes makes
    no sense before. A class whose cosine never changes gets 0.
    """
    wide = cosines.astype(np.float64)
    deviation = wide.std(axis=0)
    scores: np.ndarray = (wide - wide.mean(axis=0)) / np.where(deviation > _CONSTANT, deviation, np.inf)
    return scores.astype(np.float32)


def chosen(
    scores: Float32[np.ndarray, "images classes"], *, threshold: float | None, top_k: int | None
) -> Bool[np.ndarray, "images classes"]:
    """Labels out of calibrated scores.

    Args:
        scores: Of `calibrated`.
        threshold: True from this score on; no image needs to reach it.
        top_k: Instead: number of best classes of each image; of equal ones the first count.

    Raises:
        UsageError: Both or neither are set, or there are fewer classes than ``top_k``.
    """
    if (threshold is None) == (top_k is None):
        raise UsageError("give either --threshold or --top-k")
    if threshold is not None:
        return scores >= threshold
    if top_k is None or not 1 <= top_k <= scores.shape[1]:
        raise UsageError(f"--top-k is {top_k}; give 1 to {scores.shape[1]}, the number of classes")
    labels = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(labels, np.argsort(-scores, axis=1, kind="stable")[:, :top_k], True, axis=1)
    return labels


def cosine_file(root: Path, splits: Mapping[str, RetrievalSplit], labeller: ZeroShotLabeller) -> RowFile:
    """The file ``features/zeroshot.npy`` of the cosines, one row for each image of the splits."""
    ids = [item for split in splits.values() for item in split.image_ids]
    settings = labeller.origin | {"model": labeller.source, "classes": list(labeller.classes), "block": BLOCK}
    return RowFile(
        root, "zeroshot", ids, (len(labeller.classes),), f"cosines of {labeller.origin['made_by']}", settings
    )


def cosine_steps(
    splits: Mapping[str, RetrievalSplit], labeller: ZeroShotLabeller
) -> tuple[Callable[[int], Iterator[Step]], int]:
    """Blocks of images through the labeller, as `RowFile.write` takes them."""
    blocks = ImageBlocks(splits, lambda path, name: labeller.pixels.row(name, path), BLOCK)

    def steps(done: int) -> Iterator[Step]:
        for rows, images in blocks.read(done):
            yield rows, labeller.cosines(images)

    return steps, len(blocks)


def _sentences(sentences: Sequence[str]) -> RetrievalSplit:
    """The sentences as a split, which a token reader takes."""
    names = tuple(map(str, range(len(sentences))))
    return RetrievalSplit(
        dataset="classes",
        name="classes",
        image_ids=names,
        image_paths=(),
        caption_ids=names,
        captions=tuple(sentences),
        tokens=tuple(tuple(sentence.lower().split()) for sentence in sentences),
        correspondence=Correspondence(range(len(sentences))),
        labels=None,
        classes=(),
        fingerprint="",
    )
