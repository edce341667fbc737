"""ResNet of bottleneck blocks up to its last feature map, with frozen batch normalisation, for released weights."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_EXPANSION = 4  # output channels of a bottleneck over its inner channels


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics and affine parameters.

    Args:
        channels: Channels of the map.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, start in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), start))

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images channels h w"]:
        """Normalise each channel."""
        mean, variance, weight, bias = map(self.get_buffer, ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(maps, mean, variance, weight, bias, training=False, eps=self.eps)


class _Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 (with the stride) and 1x1 convolutions."""

    def __init__(self, channels: int, planes: int, stride: int, has_projection: bool) -> None:
        super().__init__()
        wide = planes * _EXPANSION
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), FrozenBatchNorm(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = FrozenBatchNorm(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, wide, 1, bias=False), FrozenBatchNorm(wide)
        shortcut = (nn.Conv2d(channels, wide, 1, stride=stride, bias=False), FrozenBatchNorm(wide))
        self.downsample = nn.Sequential(*shortcut) if has_projection else None

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images wide h2 w2"]:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        output = F.relu(self.bn1(self.conv1(maps)))
        output = F.relu(self.bn2(self.conv2(output)))
        return F.relu(self.bn3(self.conv3(output)) + shortcut)


class _Body(nn.Module):
    def __init__(self, blocks: Sequence[int], planes: Sequence[int], stem: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False), FrozenBatchNorm(stem)
        channels = stem
        for number, (count, width) in enumerate(zip(blocks, planes, strict=True), start=1):
            stage = nn.Sequential()
            for block in range(count):
                stride = 2 if number > 1 and block == 0 else 1
                stage.append(_Bottleneck(channels, width, stride, has_projection=block == 0))
                channels = width * _EXPANSION
            self.add_module(f"layer{number}", stage)

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images channels h w"]:
        maps = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, stride=2, padding=1)
        for stage in list(self.children())[2:]:
            maps = stage(maps)
        return maps


class ResNetTrunk(nn.Module):
    """Images to the last feature map, stride 32.

    Args:
        blocks: Bottlenecks of each of the four stages; ResNet-101 has 3, 4, 23, 3.
        planes: Inner channels of each stage, a quarter of its output channels; 64, 128, 256, 512.
        stem: Channels after the first convolution.

    Source:
        He et al., CVPR 2016; stride in the 3x3 convolution and names as in torchvision, below ``body.``.
    """

    stride = 32

    def __init__(
        self, blocks: Sequence[int] = (3, 4, 23, 3), planes: Sequence[int] = (64, 128, 256, 512), stem: int = 64
    ) -> None:
        super().__init__()
        self.channels = planes[-1] * _EXPANSION
        self.body = _Body(blocks, planes, stem)

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images channels h w"]:
        """The last map."""
        maps: Tensor = self.body(images)
        return maps
