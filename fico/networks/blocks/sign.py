"""Binarisation of continuous codes."""

import torch
from jaxtyping import Float
from torch import Tensor


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
