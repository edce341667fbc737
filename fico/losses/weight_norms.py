"""A penalty on the lengths of a network's weights."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_FREE = ("bias", "gamma", "beta")


def weight_norms(module: nn.Module) -> Float[Tensor, ""]:
    """Sum of the L2 norms, not squared, of all parameters but biases and those of layer normalisation.

    Args:
        module: Its parameters count by the last part of their names: ``bias``, ``gamma`` and ``beta`` are free.

    Source:
        The public code of ADV. Of a batch normalisation, whose weight is called ``weight``, it counts the weight.
    """
    norms = [value.norm() for name, value in module.named_parameters() if name.rsplit(".", maxsplit=1)[-1] not in _FREE]
    return torch.stack(norms).sum()
