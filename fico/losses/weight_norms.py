"""Penalty on the L2 norms of a network's weights."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_EXEMPT = ("bias", "gamma", "beta")


def weight_norms(module: nn.Module) -> Float[Tensor, ""]:
    """Sum of the L2 norms, not squared, of all parameters but biases and those of layer normalisation.

    Args:
        module: Parameters whose last name is ``bias``, ``gamma`` or ``beta`` are excluded.

    Source:
        The public code of ADV. The weight of a batch normalisation is called ``weight`` and counts.
    """
    norms = [
        value.norm() for name, value in module.named_parameters() if name.rsplit(".", maxsplit=1)[-1] not in _EXEMPT
    ]
    return torch.stack(norms).sum()
