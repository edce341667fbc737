"""Biases against hubs where there are scores and no embeddings, from the scores of the items with a bank."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from fico.errors import DataError, UsageError
from fico.evaluation.hubness.dual_softmax import dual_softmax_bias
from fico.evaluation.hubness.nnn import nnn_bias_of_scores
from fico.evaluation.options import EvaluationOptions
from fico.metrics.specification import Direction
from fico.similarity import score_dtype
from fico.util.arrays import as_matrix, as_numpy, as_tensor

BankScores = ArrayLike | Tensor
ScoreBank = Mapping[Direction, BankScores | tuple[BankScores, BankScores]]
_BLOCK_SCORES = 2**22  # scores with a bank that are read at a time
_PARTS = ("queries", "items")


def score_biases(
    bank: ScoreBank | None, items: Mapping[Direction, int], options: EvaluationOptions
) -> dict[Direction, Float[np.ndarray, " items"]]:
    """What the correction of the options takes from every score of an item, by direction.

    Args:
        bank: By direction the scores of its items with queries of the training split, ``bank_queries items``: of
            ``i2t`` its images with these captions. ``dual_softmax`` needs a pair, whose second are those with items of
            the training split, ``bank_items items``.
        items: Size of the gallery by direction.
        options: Which correction.

    Raises:
        UsageError: A direction has no bank, ``dual_softmax`` no pair, or ``nnn`` fewer queries than neighbours.
        DataError: The bank has scores of another number of items, or that are not finite.
    """
    wanted = "the scores of its items with the queries of the training split, bank_queries x items"
    if options.hubness_correction == "dual_softmax":
        wanted = f"a pair: {wanted}, and those with its items, bank_items x items"
    found = {}
    for direction, count in items.items():
        if bank is None or direction not in bank:
            raise UsageError(
                f"hubness_correction={options.hubness_correction!r} has no bank of {direction}; give "
                f"bank={{{direction!r}: ...}} with {wanted}"
            )
        given = bank[direction]
        parts = given if isinstance(given, tuple) else (given,)
        if len(parts) > 2 or (len(parts) < 2 and options.hubness_correction == "dual_softmax"):
            raise UsageError(f"the bank of {direction} has {len(parts)} score matrices; give {wanted}")
        named = zip(_PARTS, parts, strict=False)
        found[direction] = _biases([_matrix(part, f"{direction} bank {name}", count) for name, part in named], options)
    return found


def _matrix(scores: Any, what: str, items: int) -> np.ndarray | Tensor:
    matrix = as_matrix(scores, what)
    if matrix.shape[1] != items:
        raise DataError(
            f"{what} have scores of {matrix.shape[1]} items, and {items} are ranked; give those of the same"
        )
    return matrix


def _biases(parts: list[np.ndarray | Tensor], options: EvaluationOptions) -> Float[np.ndarray, " items"]:
    """In blocks of items, so that a bank may be larger than memory."""

    def bias(queries: Tensor, *others: Tensor) -> Tensor:
        if options.hubness_correction == "dual_softmax":
            return dual_softmax_bias(queries, *others, temperature=options.softmax_temperature)
        return nnn_bias_of_scores(queries, k=options.nnn_k, alpha=options.nnn_alpha)

    step = max(1, _BLOCK_SCORES // sum(len(part) for part in parts))
    firsts = range(0, parts[0].shape[1], step)
    return torch.cat([bias(*(_block(part, first, step) for part in parts)) for first in firsts]).double().numpy()


def _block(scores: np.ndarray | Tensor, first: int, step: int) -> Float[Tensor, "bank items"]:
    part = scores[:, first : first + step]
    block = np.asarray(as_numpy(part) if isinstance(part, Tensor) else part, dtype=score_dtype(scores))
    if not np.isfinite(block).all():
        row, column = np.argwhere(~np.isfinite(block))[0]
        raise DataError(
            f"the bank holds NaN or infinite scores, first in row {row}, item {first + column}; look into the model "
            "that made them"
        )
    return as_tensor(block)
