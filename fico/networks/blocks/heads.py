"""Attention heads: splitting the channels of a state among them."""

from jaxtyping import Float
from torch import Tensor


def check_heads(dim: int, heads: int) -> None:
    """Check that a width divides among attention heads.

    Raises:
        ValueError: It does not.
    """
    if dim % heads:
        raise ValueError(f"the width of {dim} does not divide among {heads} heads")


def split_heads(values: Float[Tensor, "items tokens dim"], heads: int) -> Float[Tensor, "items heads tokens part"]:
    """Channels of each token by head."""
    parts: Tensor = values.unflatten(2, (heads, -1))
    return parts.transpose(1, 2)


def merge_heads(values: Float[Tensor, "items heads tokens part"]) -> Float[Tensor, "items tokens dim"]:
    """The inverse of `split_heads`."""
    return values.transpose(1, 2).flatten(2)
