"""Position tables of a checkpoint, resized to another image size or window."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import RectBivariateSpline
from torch import Tensor
from torch.nn import functional as F

from fico.errors import DataError

_LARGEST_RATIO = 1.5  # of the geometric grid, as upstream


def resize_position_table(
    table: Float[Tensor, "rows dim"], rows: int, prefix: int, path: Path | str
) -> Float[Tensor, "resized dim"]:
    """Resize a table of position embeddings of image patches: bicubic over the grid, corners not aligned.

    Args:
        table: ``prefix`` rows that are not patches, such as the class token's, then a square grid row by row.
        rows: Rows of the result, of the same form.
        prefix: Rows in front of the grid; they are copied.
        path: The checkpoint, for the message.

    Returns:
        The same table where its grid has the new side.

    Raises:
        DataError: The rows after the prefix are not a square grid.
    """
    side, new_side = (round(max(count - prefix, 0) ** 0.5) for count in (len(table), rows))
    if side == 0 or side**2 + prefix != len(table):
        raise DataError(
            f"{path} has a visual position table of {len(table)} rows, which is not a square grid after {prefix} rows; "
            "give a checkpoint of this model"
        )
    if side == new_side:
        return table
    grid = table[prefix:].float().T.reshape(1, -1, side, side)
    resized = F.interpolate(grid, size=(new_side, new_side), mode="bicubic", align_corners=False)
    return torch.cat([table[:prefix], resized.flatten(2)[0].T.to(table.dtype)])


def resize_bias_table(table: Float[Tensor, "offsets heads"], rows: int) -> Float[Tensor, "resized heads"]:
    """Resize a table of relative position biases to another window, by a cubic spline over a geometric grid.

    The old offsets are spaced so that small ones stay close together and the outermost come near to the new edge.

    Args:
        table: ``(2 w - 1) ** 2`` rows for windows of side ``w``.
        rows: Rows of the result, also the square of an odd number.

    Returns:
        The same table where it has as many rows already, or is none of a square window.
    """
    side, new_side = round(len(table) ** 0.5), round(rows**0.5)
    if len(table) == rows or side * side != len(table) or side < 3:
        return table
    reach, new_reach = side // 2, new_side // 2
    powers = _ratio(reach, new_reach) ** np.arange(reach)
    distances = np.cumsum(powers)
    knots = np.concatenate([-distances[::-1], [0.0], distances])
    offsets = np.arange(-new_reach, new_reach + 1, dtype=np.float64)
    grids = table.double().numpy().reshape(side, side, -1)
    degree = min(3, side - 1)
    splines = (
        RectBivariateSpline(knots, knots, grids[..., head], kx=degree, ky=degree) for head in range(grids.shape[2])
    )
    resized = [spline(offsets, offsets) for spline in splines]
    values: Tensor = torch.from_numpy(np.stack(resized, axis=-1)).reshape(rows, -1).to(table.dtype)
    return values


def _ratio(count: int, total: int) -> float:
    """Ratio of the geometric series with that many terms from 1 that reaches a total, at most `_LARGEST_RATIO`."""
    low, high = 1.01, _LARGEST_RATIO
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if np.sum(middle ** np.arange(count)) > total else (middle, high)
    return low
