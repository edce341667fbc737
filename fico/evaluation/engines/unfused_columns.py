"""Columns that the engines do not fuse: any metric of one value per query, by its formula on tied blocks."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt64
from torch import Tensor

from fico.metrics.metric import PerQueryMetric
from fico.metrics.specification import Ties
from fico.metrics.ties import TiedBlocks, rank_blocks

PIECE_SCORES = 2**20  # scores that are ranked at a time
PIECE_BYTES = 80 * PIECE_SCORES  # a sort, tied blocks and distances


def tie_orders(ties: Ties, blocks: TiedBlocks, by_index: TiedBlocks, is_mixed: bool) -> list[TiedBlocks]:
    """Rankings under the tie rule, and, if some block is mixed, in the pessimistic and in the optimistic order."""
    bounds = [blocks.ordered(False), blocks.ordered(True)] if is_mixed else []
    rules = {"expected": blocks, "index": by_index}
    chosen = rules.get(ties, blocks)
    if bounds and ties not in rules:
        chosen = bounds[ties == "optimistic"]
    return [chosen, *bounds]


def values_of_orders(
    metrics: Sequence[PerQueryMetric], task: str, orders: Sequence[TiedBlocks]
) -> Float[Tensor, "orders queries columns"]:
    """Values of the same rankings in several orders, one order at a time."""
    values = torch.stack(
        [torch.stack([metric.per_query(each).double() for metric in metrics], dim=1) for each in orders]
    )
    if task == "category":
        return values
    return values.masked_fill((orders[0].all_relevant == 0)[:, None], torch.nan)


def fill_unfused(
    metrics: Sequence[PerQueryMetric],
    task: str,
    ties: Ties,
    scores: Callable[[int, int], Float[np.ndarray, "rows items"]],
    relevant: Callable[[int, int], Bool[np.ndarray, "rows items"]],
    items: int,
    outputs: Float[np.ndarray, "orders queries columns"],
) -> None:
    """Ranks the scores of a block on the CPU, some queries at a time, and fills the columns of the metrics.

    Args:
        metrics: One for each column.
        task: Which task.
        ties: Tie rule.
        scores: Scores of some queries of the block with every item.
        relevant: Relevance of every item to them.
        items: Size of the gallery.
        outputs: Receives values, pessimistic and optimistic bounds.
    """
    step = max(1, PIECE_SCORES // items)
    for first in range(0, outputs.shape[1], step):
        last = min(first + step, outputs.shape[1])
        found, hits = torch.from_numpy(scores(first, last)), torch.from_numpy(relevant(first, last))
        blocks = rank_blocks(found, hits)
        by_index = rank_blocks(found, hits, "index") if ties == "index" else blocks
        orders = tie_orders(ties, blocks, by_index, bool(blocks.is_mixed.any()))
        outputs[:, first:last] = values_of_orders(metrics, task, orders).numpy()  # one order serves all three


def hamming_scores(
    queries: UInt64[np.ndarray, "queries words"], items: UInt64[np.ndarray, "words items"]
) -> Float[np.ndarray, "queries items"]:
    """Negative numbers of differing bits."""
    scores = np.zeros((len(queries), items.shape[1]), dtype=np.float32)
    for word, column in zip(queries.T, items, strict=True):
        scores -= np.bitwise_count(word[:, None] ^ column)
    return scores
