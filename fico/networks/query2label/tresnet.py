"""TResNet up to its last feature map, for released weights: versions 1 (basic blocks first) and 2 (bottlenecks)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_EXPANSION = 4
_STEM_SLOPE, _SLOPE = 1e-2, 1e-3  # of the leaky ReLU after the first normalisation and after the others
_SPACE = 4  # side of the squares of pixels that become channels
_SQUEEZED = 64  # least inner width of a squeeze-and-excitation


class ActivatedNorm(nn.Module):
    """In-place activated batch norm in evaluation: scale ``|weight| + 1e-5``, then leaky ReLU.

    The released weights were trained with that scale, and some are negative: a plain batch norm loads them and
    computes other values without an error.

    Args:
        channels: Channels of the map.
        slope: Negative slope of the leaky ReLU; 1: no activation.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, slope: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.slope, self.eps = slope, eps
        for name, start in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), start))

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images channels h w"]:
        """Normalise, then activate."""
        mean, variance, weight, bias = map(self.get_buffer, ("running_mean", "running_var", "weight", "bias"))
        normed = F.batch_norm(maps, mean, variance, weight.abs() + self.eps, bias, training=False, eps=self.eps)
        return F.leaky_relu(normed, self.slope)


class _BlurPool(nn.Module):
    """Anti-aliased downsampling by 2: a 3x3 binomial filter with reflection padding."""

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images channels h2 w2"]:
        line = torch.tensor([0.25, 0.5, 0.25], dtype=maps.dtype, device=maps.device)
        kernel = torch.outer(line, line).expand(maps.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=maps.shape[1])


class _Excitation(nn.Module):
    """Squeeze and excitation: each channel times a gate computed from the means of all channels."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images channels h w"]:
        means = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


def _conv(channels: int, wide: int, size: int, slope: float = _SLOPE) -> nn.Sequential:
    convolution = nn.Conv2d(channels, wide, size, padding=size // 2, bias=False)
    return nn.Sequential(convolution, ActivatedNorm(wide, slope))


def _strided_conv(channels: int, wide: int, stride: int) -> nn.Sequential:
    convolution = _conv(channels, wide, 3)
    return convolution if stride == 1 else nn.Sequential(convolution, _BlurPool())


def _shortcut(channels: int, wide: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and channels == wide:
        return None
    pool = [nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)] if stride == 2 else []
    return nn.Sequential(*pool, _conv(channels, wide, 1, slope=1.0))


class _Basic(nn.Module):
    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int, is_excited: bool) -> None:
        super().__init__()
        self.conv1 = _strided_conv(channels, planes, stride)
        self.conv2 = _conv(planes, planes, 3, slope=1.0)
        self.downsample = _shortcut(channels, planes, stride)
        self.se = _Excitation(planes, max(planes // 4, _SQUEEZED)) if is_excited else nn.Identity()

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images wide h2 w2"]:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return F.relu(self.se(self.conv2(self.conv1(maps))) + shortcut)


class _Bottleneck(nn.Module):
    expansion = _EXPANSION

    def __init__(self, channels: int, planes: int, stride: int, is_excited: bool) -> None:
        super().__init__()
        wide = planes * _EXPANSION
        self.conv1 = _conv(channels, planes, 1)
        self.conv2 = _strided_conv(planes, planes, stride)
        self.conv3 = _conv(planes, wide, 1, slope=1.0)
        self.downsample = _shortcut(channels, wide, stride)
        self.se = _Excitation(planes, max(wide // 8, _SQUEEZED)) if is_excited else nn.Identity()

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "images wide h2 w2"]:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return F.relu(self.conv3(self.se(self.conv2(self.conv1(maps)))) + shortcut)


class _Body(nn.Module):
    def __init__(self, blocks: Sequence[int], width: int, is_version_2: bool) -> None:
        super().__init__()
        self.conv1 = _conv(3 * _SPACE**2, width, 3, slope=_STEM_SLOPE)
        channels = width
        for number, count in enumerate(blocks, start=1):
            kind = _Bottleneck if is_version_2 or number > 2 else _Basic
            planes, stage = width * 2 ** (number - 1), nn.Sequential()
            for block in range(count):
                stride = 2 if number > 1 and block == 0 else 1
                stage.append(kind(channels, planes, stride, is_excited=number < 4))
                channels = planes * kind.expansion
            self.add_module(f"layer{number}", stage)

    def forward(self, maps: Float[Tensor, "images 48 h w"]) -> Float[Tensor, "images channels h2 w2"]:
        for stage in self.children():
            maps = stage(maps)
        return maps


class TResNetTrunk(nn.Module):
    """Images to the last feature map, stride 32.

    Args:
        blocks: Blocks of each of the four stages; TResNet-L has 4, 5, 18, 3, and 3, 4, 23, 3 in version 2.
        width: Channels of the first stage; 76 in TResNet-L, 64 in its version 2.
        is_version_2: Bottlenecks in all stages, where version 1 has two stages of basic blocks.

    Source:
        Ridnik et al., WACV 2021; names as in the authors' release, below ``body.body.``.

    Differs:
        Evaluation only.
    """

    stride = 32

    def __init__(self, blocks: Sequence[int] = (4, 5, 18, 3), width: int = 76, is_version_2: bool = False) -> None:
        super().__init__()
        self.channels = width * 8 * _EXPANSION
        self.body = nn.ModuleDict({"body": _Body(blocks, width, is_version_2)})

    def forward(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images channels h w"]:
        """The last map. Sides must be multiples of 4."""
        squares = images.unflatten(3, (-1, _SPACE)).unflatten(2, (-1, _SPACE))  # images 3 h dy w dx
        maps: Tensor = self.body["body"](squares.permute(0, 3, 5, 1, 2, 4).flatten(1, 3))
        return maps
