"""EfficientNet-Lite0 features of images: the last map as 7 x 7 regions, or its mean as one vector."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.features.cache import cached_rows
from fico.features.image.descriptor_features import ImageKind, file_stamp
from fico.features.image.pixels import centre_crop
from fico.features.precomputed import Features, read_precomputed
from fico.features.writer import RowFile, Step
from fico.images.decode import open_rgb
from fico.networks.efficientnet_lite import (
    CELLS,
    DIM,
    SIDE,
    WEIGHTS_SHA256,
    EfficientNetLite0,
    lite0_weights,
    pretrained_lite0,
)
from fico.util.progress import track
from fico.util.resources import cores

_LOG = logging.getLogger(__name__)
LITE0_VERSION = 1  # raise it when the values change
SHORTER = 256  # length of the shorter side before the square is cut out
BLOCK = 16  # images at once; part of what a result may depend on in its last bits
SHAPES: dict[ImageKind, tuple[int, ...]] = {"global": (DIM,), "regions": (CELLS * CELLS, DIM)}
FILES: dict[ImageKind, str] = {"global": "lite0", "regions": "lite0_regions"}
ORIGINS: dict[ImageKind, str] = {
    "global": "EfficientNet-Lite0 of ImageNet-1k, mean of the last map",
    "regions": f"EfficientNet-Lite0 of ImageNet-1k, last map as {CELLS} x {CELLS} regions",
}
Network = Callable[[Float[Tensor, "images 3 224 224"]], Float[Tensor, "images 1280 7 7"]]


@dataclass(frozen=True, slots=True)
class Lite0:
    """Reads images as features of EfficientNet-Lite0, precomputed, from the cache or made now.

    Args:
        kind: ``global``: 1,280 values an image; ``regions``: as many for each of 49 regions.

    Raises:
        UsageError: ``kind`` is neither.
    """

    kind: ImageKind

    def __post_init__(self) -> None:
        if self.kind not in SHAPES:
            raise UsageError(f"kind is {self.kind!r}; choose one of {', '.join(get_args(ImageKind))}")

    def check(self, root: Path | None) -> None:
        """Find the precomputed file or the weights.

        Args:
            root: The data set's folder, if it has one yet.

        Raises:
            MissingExtra: Neither is there.
        """
        if root is None or not (root / "features" / f"{FILES[self.kind]}.npy").exists():
            lite0_weights()

    def features(self, root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
        """Give the features of some splits, not standardised.

        Args:
            root: The data set's folder; ``features/lite0.npy`` or ``lite0_regions.npy`` in it is taken as it is.
            splits: By name.
            progress: Show a bar.

        Raises:
            MissingExtra: The weights are not installed.
            DataError: An image file is missing or broken (its id is named), or the precomputed files are.
        """
        ids = {name: split.image_ids for name, split in splits.items()}
        precomputed = read_precomputed(root, FILES[self.kind], ids, axes=1 + len(SHAPES[self.kind]))
        if precomputed is not None:
            return precomputed
        lite0_weights()
        rows = {name: self._cached(split, progress) for name, split in splits.items()}
        return Features(rows, ORIGINS[self.kind])

    def _cached(self, split: RetrievalSplit, progress: bool) -> np.ndarray:
        stamps = [file_stamp(*image) for image in zip(split.image_ids, split.image_paths, strict=True)]
        content = [LITE0_VERSION, WEIGHTS_SHA256, stamps]
        shape = (len(split.image_ids), *SHAPES[self.kind])
        return cached_rows(f"lite0-{self.kind}", content, shape, self._made(split, progress))

    def _made(self, split: RetrievalSplit, progress: bool) -> Iterator[np.ndarray]:
        steps, total = lite0_steps({split.name: split}, self.kind)
        for _, values in track(steps(0), total, f"Lite0 features of {split.name} images", is_shown=progress):
            yield values


def lite0_file(root: Path, splits: Mapping[str, RetrievalSplit], kind: ImageKind) -> RowFile:
    """The file that `lite0_steps` fills: one row for each image of the splits.

    Args:
        root: The data set's folder.
        splits: By name.
        kind: Of `Lite0`.
    """
    ids = [item for split in splits.values() for item in split.image_ids]
    sizes = [path.stat().st_size if path.exists() else -1 for split in splits.values() for path in split.image_paths]
    settings = {"version": LITE0_VERSION, "weights": WEIGHTS_SHA256, "block": BLOCK, "files": sizes}
    return RowFile(root, FILES[kind], ids, SHAPES[kind], ORIGINS[kind], settings)


def lite0_steps(
    splits: Mapping[str, RetrievalSplit],
    kind: ImageKind,
    network: Network | None = None,
    report: Callable[[str], object] = _LOG.info,
) -> tuple[Callable[[int], Iterator[Step]], int]:
    """Blocks of images through the network, one on each core; the last one reports time and fraction of decoding.

    Args:
        splits: By name, in the order of the rows.
        kind: Of `Lite0`.
        network: Gives the last map; None: EfficientNet-Lite0 with its ImageNet weights, opened at the first step.
        report: Takes that message.

    Returns:
        What `RowFile.write` takes: a maker of the steps, and their number.
    """
    paths = [path for split in splits.values() for path in split.image_paths]
    ids = [item for split in splits.values() for item in split.image_ids]

    def steps(done: int) -> Iterator[Step]:
        blocks = [slice(start, min(start + BLOCK, len(ids))) for start in range(done * BLOCK, len(ids), BLOCK)]
        encoder = _Encoder(network or _pretrained(), kind)
        begin = time.perf_counter()
        made = _on_all_cores(lambda rows: encoder(paths[rows], ids[rows]), blocks)
        yield from zip(blocks, made, strict=True)
        images, seconds = len(ids) - done * BLOCK, time.perf_counter() - begin
        report(f"lite0 features of {images:,} images took {seconds:.1f} s, {encoder.timing}")

    return steps, -(-len(ids) // BLOCK)


def preprocess(image_path: Path, image_id: str) -> Float32[np.ndarray, "3 224 224"]:
    """An image as the network was trained on it: shorter side to 256, centre of 224, bytes around zero.

    Raises:
        DataError: The file is missing or broken.
    """
    square = centre_crop(open_rgb(image_path, image_id), SIDE, SHORTER)
    return ((square.astype(np.float32) - 127) / 128).transpose(2, 0, 1)


class _Encoder:
    """Decodes a block of images and encodes it; adds up the processor time of both."""

    def __init__(self, network: Network, kind: ImageKind) -> None:
        self._network, self._kind = network, kind
        self._decoding: list[float] = []  # appending is atomic, adding is not
        self._total: list[float] = []

    def __call__(self, paths: Sequence[Path], ids: Sequence[str]) -> np.ndarray:
        begin = time.thread_time()
        images = np.stack([preprocess(*image) for image in zip(paths, ids, strict=True)])
        self._decoding.append(time.thread_time() - begin)
        with torch.inference_mode():
            cells = self._network(torch.from_numpy(images)).flatten(2)
            rows = cells.mean(2) if self._kind == "global" else cells.transpose(1, 2)
        self._total.append(time.thread_time() - begin)
        return rows.numpy()

    @property
    def timing(self) -> str:
        fraction = sum(self._decoding) / max(sum(self._total), 1e-9)
        return f"decoding {100 * fraction:.0f} % of the processor time"


@cache
def _pretrained() -> Network:
    """Loaded once in a process, as a search encodes one image at a time."""
    return _channels_last(pretrained_lite0())


def _channels_last(network: EfficientNetLite0) -> Network:
    """The layout in which depthwise convolutions are fast on a CPU: 22 instead of 35 ms an image."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return lambda images: network.feature_map(images.contiguous(memory_format=torch.channels_last))


def _on_all_cores(encode: Callable[[slice], np.ndarray], blocks: Sequence[slice]) -> Iterator[np.ndarray]:
    """Encode blocks in order, each on one core: small convolutions leave a core idle when several share one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores()) as workers:
            yield from workers.map(encode, blocks)
    finally:
        torch.set_num_threads(threads)
