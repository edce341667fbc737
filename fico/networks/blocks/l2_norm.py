"""The two L2 normalisations that released weights depend on."""

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-8  # of SCAN and IMRAM: added to a norm, the smallest product of two norms


def unit_vectors(values: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    """L2 normalisation over the last axis, with 1e-8 added to the norm; a zero vector stays zero and has a gradient."""
    lengths: Tensor = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return values / (lengths + EPSILON)


def unit_along_axis_1(values: Float[Tensor, "items axis ..."]) -> Float[Tensor, "items axis ..."]:
    """L2 normalisation along axis 1, without an epsilon.

    On ``items dim`` every row gets unit length. On ``images regions dim`` axis 1 is the region axis: every
    channel is normalised over the regions of its image. Released weights of VSRN depend on that.

    Args:
        values: Any scale. A zero vector along axis 1 gives NaN, which evaluation reports with the item's id.

    Returns:
        Values of the same shape; squares along axis 1 add up to 1.
    """
    return values / values.pow(2).sum(dim=1, keepdim=True).sqrt()
