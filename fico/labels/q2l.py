"""Labels of Query2Label: images in, the probability of each class out, 1 from a threshold on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError, UsageError
from fico.features.image.blocks import ImageBlocks
from fico.features.image.pixels import Pixels
from fico.features.writer import RowFile, Step
from fico.formats.text import read_json
from fico.images.decode import open_rgb
from fico.labels.classes import COCO80
from fico.networks.query2label.checkpoint import load_query2label
from fico.networks.query2label.network import Query2Label
from fico.networks.query2label.resnet import ResNetTrunk
from fico.networks.query2label.tresnet import TResNetTrunk
from fico.util.atomic import sha256

Normalisation = Literal["model", "none"]
BLOCK = 16  # images at once, as in FiCo-ITR's toolkit
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # values of 0..1 as they are


@dataclass(frozen=True, slots=True)
class Query2LabelConfig:
    """What a checkpoint's JSON says that its weights do not.

    Args:
        heads: Attention heads.
        is_plain: The input is 0..1 as it is, ``orid_norm`` of the JSON; None where nothing says so.
        image_size: Side of the input; None: that of the stored position code.
    """

    heads: int = 4
    is_plain: bool | None = None
    image_size: int | None = None

    @classmethod
    def read(cls, path: Path) -> "Query2LabelConfig":
        """Read ``config_new.json`` of a checkpoint.

        Raises:
            DataError: The file is missing or no JSON object.
        """
        content = read_json(path)
        try:
            plain, size = content.get("orid_norm"), content.get("img_size")
            return cls(int(content.get("nheads", 4)), plain if plain is None else bool(plain), size and int(size))
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is missing or no config of Query2Label ({error}); give its config_new.json"
            ) from error


class Labeller:
    """Query2Label with the preparation of images that its weights were trained with.

    Args:
        weights: The authors' checkpoint.
        config: Of the checkpoint's JSON.
        normalisation: ``model``: as the weights were trained: ImageNet mean and deviation for ResNet, none for TResNet,
            or what the JSON says; ``none``: 0..1 as it is, whatever the weights, as FiCo-ITR's toolkit does.
        image_size: Side of the input, instead of the JSON's.
        device: Where it runs, as torch names it.

    Raises:
        UsageError: Nothing says how the weights of a Swin or CvT want their images.
        DataError: The weights are missing or of another model.
    """

    def __init__(
        self,
        weights: Path,
        config: Query2LabelConfig | None = None,
        *,
        normalisation: Normalisation = "model",
        image_size: int | None = None,
        device: str = "cpu",
    ) -> None:
        config = config or Query2LabelConfig()
        size = image_size or config.image_size
        self.network = load_query2label(weights, heads=config.heads, image_size=size).to(device)
        self.is_plain = normalisation == "none" or is_plain(self.network, config)
        self.weights, self.normalisation, self._device = sha256(weights), normalisation, device
        self.pixels = Pixels(self.network.image_size, *(PLAIN if self.is_plain else IMAGENET), resample="bilinear")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns: those of COCO where there are 80."""
        count = len(self.network.query_embed.weight)
        return tuple(COCO80.values()) if count == len(COCO80) else tuple(f"class_{row}" for row in range(count))

    @property
    def origin(self) -> dict[str, str | int]:
        """What a label file says about where its labels come from."""
        trunk = type(self.network.backbone[0]).__name__.removesuffix("Trunk")
        return {
            "made_by": f"Query2Label ({trunk})",
            "weights_sha256": self.weights,
            "image_size": self.network.image_size,
            "normalisation": self.normalisation,
            "mean_and_deviation": "none" if self.is_plain else "ImageNet",
        }

    @torch.inference_mode()
    def probabilities(self, images: Float32[np.ndarray, "images 3 size size"]) -> Float32[np.ndarray, "images classes"]:
        """Probability that each class is in the image."""
        logits = self.network(torch.from_numpy(images).to(self._device))
        made: np.ndarray = logits.sigmoid().float().cpu().numpy()
        return made


def is_plain(network: Query2Label, config: Query2LabelConfig) -> bool:
    """Whether the weights want values of 0..1 as they are: what the JSON says, or what is known of the backbone.

    Raises:
        UsageError: Nothing says so.
    """
    if config.is_plain is not None:
        return config.is_plain
    trunk = network.backbone[0]
    if isinstance(trunk, (ResNetTrunk, TResNetTrunk)):
        return isinstance(trunk, TResNetTrunk)
    raise UsageError(
        f"nothing says how these weights of a {type(trunk).__name__.removesuffix('Trunk')} want their images; give "
        "--config with the model's config_new.json, or --normalisation none"
    )


def to_labels(probabilities: Float32[np.ndarray, "images classes"], threshold: float = 0.5) -> Bool[np.ndarray, "..."]:
    """True where the probability reaches the threshold, the threshold itself included.

    Raises:
        UsageError: The threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"the threshold is {threshold}; give a probability above 0 and at most 1")
    return probabilities >= threshold


def probability_file(root: Path, splits: Mapping[str, RetrievalSplit], labeller: Labeller) -> RowFile:
    """The file ``features/q2l.npy`` of the probabilities, one row for each image of the splits."""
    ids = [item for split in splits.values() for item in split.image_ids]
    settings = labeller.origin | {"block": BLOCK, "classes": list(labeller.classes)}
    return RowFile(
        root, "q2l", ids, (len(labeller.classes),), f"probabilities of {labeller.origin['made_by']}", settings
    )


def probability_steps(
    splits: Mapping[str, RetrievalSplit], labeller: Labeller
) -> tuple[Callable[[int], Iterator[Step]], int]:
    """Blocks of images through the labeller, as `RowFile.write` takes them."""
    pixels = labeller.pixels
    blocks = ImageBlocks(splits, lambda path, name: pixels.normalise(pixels.square(open_rgb(path, name))), BLOCK)

    def steps(done: int) -> Iterator[Step]:
        for rows, images in blocks.read(done):
            yield rows, labeller.probabilities(images)

    return steps, len(blocks)
