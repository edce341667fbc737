"""Arithmetic that several architectures share."""

import torch
from jaxtyping import Float
from torch import Tensor


def unit_along_axis_1(values: Float[Tensor, "items axis ..."]) -> Float[Tensor, "items axis ..."]:
    """Divide by the L2 norm along axis 1, with no epsilon.

    On ``items dim`` every row gets unit length. On ``images regions dim`` axis 1 is the region axis: every
    channel is normalised over the regions of its image. Released weights depend on that.

    Args:
        values: Any scale. A zero vector along axis 1 gives NaN, which evaluation reports with the item's id.

    Returns:
        Values of the same shape; squares along axis 1 add up to 1.
    """
    return values / values.pow(2).sum(dim=1, keepdim=True).sqrt()


def sign_codes(values: Float[Tensor, "items bits"]) -> Float[Tensor, "items bits"]:
    """Binary codes: +1 where a value is at least 0, -1 below.

    Args:
        values: Continuous codes of any scale.

    Returns:
        Codes of +1 and -1 in the dtype of ``values``; NaN stays NaN, so that evaluation can name the item.

    Differs:
        The originals use ``sign``, where 0 stays 0 and is unlike both other values. A stored bit has two
        values, so 0 becomes +1; a continuous code practically never is exactly 0.
    """
    codes = torch.where(values >= 0, 1.0, -1.0).to(values.dtype)
    return torch.where(values.isnan(), values, codes)
