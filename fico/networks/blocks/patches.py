"""Patches of an image of any aspect ratio packed into one array, as SigLIP 2 takes them."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor


def pack_patches(
    patches: Float32[np.ndarray, "patches values"], shape: Int64[np.ndarray, " two"]
) -> Float32[np.ndarray, "rows values"]:
    """Pack an image: a first row ``height width 0 ...`` (in patches), then the patches row by row."""
    first = np.zeros((1, patches.shape[1]), np.float32)
    first[0, :2] = shape
    return np.concatenate([first, patches])


def unpack_patches(
    packed: Float[Tensor, "images rows values"],
) -> tuple[Float[Tensor, "images patches values"], Int64[Tensor, "images patches"], Int64[Tensor, "images two"]]:
    """Unpack images: patches, padding mask (1 at real patches), and height and width of each image in patches."""
    shapes = packed[:, 0, :2].long()
    patches = packed[:, 1:]
    mask = torch.arange(patches.shape[1], device=packed.device) < shapes.prod(dim=1, keepdim=True)
    return patches, mask.long(), shapes
