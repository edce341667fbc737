"""VGG-19 features of images: 4096 outputs of the second linear layer, as hashing models take them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.features.image.blocks import ImageBlocks
from fico.features.image.pixels import Pixels, centre_crop
from fico.features.writer import RowFile, Step
from fico.formats.arrays import check_finite
from fico.images.decode import open_rgb
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.util.optional import requires_extra

with requires_extra("data"):
    from PIL import Image

Layer = Literal["fc7_pre_relu", "fc7_post_relu"]
Resize = Literal["squash224", "crop224", "caffe224"]
DIM = 4096
SIDE, SHORTER = 224, 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red
BLOCK = 32  # images at once; part of what a result may depend on in its last bits

_SQUASH = Pixels(SIDE, MEAN, STD, resample="bilinear")
Network = Callable[[Float[Tensor, "images 3 224 224"]], Float[Tensor, "images 4096"]]


def preprocess(image: Image.Image, resize: Resize = "squash224") -> Float32[np.ndarray, "3 224 224"]:
    """Bring an RGB image to what VGG-19 was trained on, by one of three conventions.

    Args:
        image: Any size.
        resize: ``squash224``: to a square, with ImageNet mean and deviation (FiCo-ITR's toolkit); ``crop224``: shorter
            side to 256, middle square, the same mean and deviation; ``caffe224``: to a square, blue first, 0..255 minus
            the mean, for weights that came from Caffe.

    Raises:
        UsageError: ``resize`` is none of these.
    """
    if resize == "squash224":
        return _SQUASH.normalise(_SQUASH.square(image))
    if resize == "crop224":
        return _SQUASH.normalise(centre_crop(image, SIDE, SHORTER))
    if resize == "caffe224":
        blue_first = _SQUASH.square(image)[:, :, ::-1].astype(np.float32) - np.array(CAFFE_MEAN, np.float32)
        return np.ascontiguousarray(blue_first.transpose(2, 0, 1))
    raise UsageError(f"resize is {resize!r}; choose one of {', '.join(get_args(Resize))}")


def vgg19(weights: Path | None = None, device: str = "cpu") -> Network:
    """VGG-19 without batch normalisation up to its second 4096-D linear layer, before that layer's ReLU.

    Args:
        weights: State dict under torchvision's names; None: torchvision's of ImageNet-1k, which it fetches.
        device: Where it runs, as torch names it.

    Raises:
        MissingExtra: torchvision is not installed, or of another build than torch.
        DataError: The weights are missing or of another network.
    """
    with requires_extra("gpu"):
        from torchvision.models import VGG19_Weights
        from torchvision.models import vgg19 as build
    network: nn.Module = build(weights=VGG19_Weights.IMAGENET1K_V1 if weights is None else None)
    if weights is not None:
        load_strictly(network, read_checkpoint(weights), weights)
    network.classifier = network.classifier[:4]  # type: ignore[index]
    return _On(network.eval().to(device), device)


class _On:
    """Runs a network on its device and brings the result back."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self._network, self._device = network, device

    def __call__(self, images: Float[Tensor, "images 3 224 224"]) -> Float[Tensor, "images 4096"]:
        made: Tensor = self._network(images.to(self._device))
        return made.cpu()


def vgg19_file(
    root: Path, splits: Mapping[str, RetrievalSplit], *, layer: Layer, resize: Resize, weights: str
) -> RowFile:
    """The file that `vgg19_steps` fills: one row for each image of the splits.

    Args:
        root: The data set's folder.
        splits: By name.
        layer: ``fc7_pre_relu`` holds negative values too, and its positive part is ``fc7_post_relu``.
        resize: Of `preprocess`.
        weights: What identifies the weights: a SHA-256, or a name.

    Raises:
        UsageError: ``layer`` or ``resize`` is unknown.
    """
    for name, got, known in (("layer", layer, get_args(Layer)), ("resize", resize, get_args(Resize))):
        if got not in known:
            raise UsageError(f"{name} is {got!r}; choose one of {', '.join(known)}")
    ids = [item for split in splits.values() for item in split.image_ids]
    settings = {"layer": layer, "resize": resize, "weights": weights, "block": BLOCK, "files": _stamp(splits)}
    origin = f"VGG-19 {layer} ({resize}, weights {weights[:20]})"
    return RowFile(root, "vgg19", ids, (DIM,), origin, settings)


def vgg19_steps(
    splits: Mapping[str, RetrievalSplit], network: Network, *, layer: Layer, resize: Resize
) -> tuple[Callable[[int], Iterator[Step]], int]:
    """Blocks of images through the network.

    Args:
        splits: By name, in the order of the rows.
        network: Of `vgg19`, or another that gives as many values.
        layer: Of `vgg19_file`.
        resize: Of `preprocess`.

    Returns:
        What `RowFile.write` takes: a maker of the steps, and their number.
    """
    blocks = ImageBlocks(splits, lambda path, name: preprocess(open_rgb(path, name), resize), BLOCK)

    def steps(done: int) -> Iterator[Step]:
        for rows, images in blocks.read(done):
            with torch.inference_mode():
                made = network(torch.from_numpy(images)).numpy()
            values = np.maximum(made, 0) if layer == "fc7_post_relu" else made
            check_finite("the output of the network", values, blocks.ids[rows])
            yield rows, values

    return steps, len(blocks)


def _stamp(splits: Mapping[str, RetrievalSplit]) -> str:
    """Hash of the images' sizes on disk, so that features of other files are not gone on with."""
    paths = (path for split in splits.values() for path in split.image_paths)
    sizes = [path.stat().st_size if path.exists() else -1 for path in paths]
    return hashlib.sha256(np.array(sizes, dtype=np.int64).tobytes()).hexdigest()
