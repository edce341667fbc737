"""Blocks of queries on a GPU (or any torch device): the pure metric functions on one sorted ranking per task.

Nothing is read back before a block's values are complete, and no sort runs on the host.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from fico.codes import HashCodes
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.evaluation.state import BlockValues, TaskValues
from fico.metrics.average_precision import ap_of_ranking
from fico.metrics.ndcg import ndcg_of_ranking
from fico.metrics.precision_recall import precision_of_ranking, precision_recall_within_radius
from fico.metrics.rank import expected_rank, expected_reciprocal
from fico.metrics.recall import any_found, fraction_found
from fico.metrics.specification import Direction, Task
from fico.metrics.ties import TiedRanking, rank_blocks
from fico.similarity import Similarity, refuse_holes, score_dtype


class TensorScores:
    """Scores of embeddings on a device.

    Args:
        images: ``images dim``, checked for holes.
        texts: ``captions dim``.
        similarity: Codes under ``hamming`` come as +1 and -1, whose inner product orders them.
    """

    notes: tuple[str, ...] = ()  # what a reader must know about the embeddings

    def __init__(self, images: Tensor, texts: Tensor, similarity: Similarity) -> None:
        self._sides = {"i2t": (images, texts), "t2i": (texts, images)}
        self._similarity = similarity

    @property
    def bits(self) -> int | None:
        """Length of the codes; None for embeddings."""
        return self._sides["i2t"][0].shape[1] if self._similarity == "hamming" else None

    @property
    def device(self) -> torch.device:
        """Where the scores are computed."""
        return self._sides["i2t"][0].device

    def scores(self, direction: Direction, start: int, stop: int) -> Float[Tensor, "queries items"]:
        """Scores of some queries with every item."""
        queries, items = self._sides[direction]
        scores = queries[start:stop] @ items.T
        if self._similarity == "cosine":
            norms = items.norm(dim=1)
            scores *= torch.where(norms > 0, 1 / norms, 0)
        elif self._similarity == "euclidean":
            scores = 2 * scores - (items * items).sum(dim=1)
        return scores


def signs(codes: HashCodes) -> Tensor:
    """Codes as +1 and -1, float32: products of up to 2^24 bits are exact."""
    return torch.from_numpy(codes.to_signs())


def on_device(name: str, side: np.ndarray | Tensor, similarity: Similarity, device: torch.device) -> Tensor:
    """Embeddings on the device in the precision of the scores.

    Raises:
        DataError: NaN or infinite rows.
    """
    dtype = np.dtype(np.float64) if similarity == "euclidean" else score_dtype(side)
    tensor = side if isinstance(side, Tensor) else torch.from_numpy(np.ascontiguousarray(side))
    tensor = tensor.to(device, torch.float64 if dtype == np.float64 else torch.float32)
    refuse_holes(name, (~tensor.isfinite().all(dim=1)).cpu().numpy())
    return tensor


class TensorEngine:
    """Turns blocks of queries of one direction into values per query; arguments as for ``CpuEngine``."""

    def __init__(
        self,
        direction: Direction,
        instance: InstanceRetrieval,
        category: CategoryRetrieval | None,
        options: EvaluationOptions,
        device: torch.device,
    ) -> None:
        self.direction: Direction = direction
        self.options, self.device = options, device
        self.images = [torch.from_numpy(side).to(device) for side in instance.images_of(direction)]
        self.labels = torch.from_numpy(category.labels).to(device).float() if category else None
        self.tasks: tuple[Task, ...] = tuple(t for t in options.tasks if t == "instance" or category)

    def blocks(self, source: TensorScores, ranges: list[tuple[int, int]]) -> Iterator[BlockValues]:
        """Values of each range of queries."""
        for start, stop in ranges or [(0, 0)]:
            scores = source.scores(self.direction, start, stop)
            relevant = {task: self._relevant(task, start, stop) for task in self.tasks}
            tasks = {task: self._task(task, scores, relevant[task]) for task in self.tasks}
            yield BlockValues(start, tasks, curves=_curves(scores, relevant.get("category"), source.bits))

    def _relevant(self, task: Task, start: int, stop: int) -> Bool[Tensor, "queries items"]:
        queries, items = self.images[0][start:stop], self.images[1]
        if task == "instance" or self.labels is None:
            return queries[:, None] == items
        return (self.labels[queries] @ self.labels.T > 0)[:, items]

    def _task(
        self, task: Task, scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"]
    ) -> TaskValues:
        if len(scores) == 0:
            empty = np.zeros((0, len(self.options.columns(task))))
            return TaskValues(np.zeros(0, dtype=np.int64), empty, None)
        blocks = rank_blocks(scores, relevant)
        chosen = blocks
        if self.options.ties == "index":
            chosen = rank_blocks(scores, relevant, "index")
        elif self.options.ties != "expected":
            chosen = blocks.ordered(self.options.ties == "optimistic")
        orders = (chosen, blocks.ordered(False), blocks.ordered(True))
        values, low, high = torch.stack([self._values(task, order) for order in orders]).cpu().numpy()
        mixed = bool(((blocks.relevant > 0) & (blocks.relevant < blocks.tied)).any())
        return TaskValues(relevant.sum(dim=1).cpu().numpy(), values, (low, high) if mixed else None)

    def _values(self, task: Task, ranking: TiedRanking) -> Float[Tensor, "queries columns"]:
        options = self.options
        if task == "category":
            cuts: tuple[Any, ...] = (*options.map_at, None)
            columns = [ap_of_ranking(ranking, k, options.ap) for k in cuts]
            columns += [*precision_of_ranking(ranking).T, ndcg_of_ranking(ranking, 10)]
            return torch.stack(columns, dim=1)
        first = (ranking.relevant > 0).long().argmax(dim=1, keepdim=True)
        above, tied, hits = (n.gather(1, first)[:, 0] for n in (ranking.above, ranking.tied, ranking.relevant))
        block = (above, tied - hits, hits)  # of the first relevant item
        if options.recall == "fraction":
            columns = [fraction_found(ranking, k) for k in options.recall_at]
        else:
            columns = [any_found(*block, k) for k in options.recall_at]
        columns += [expected_rank(*block), expected_reciprocal(*block), ndcg_of_ranking(ranking, 10)]
        values = torch.stack(columns, dim=1)
        return values.masked_fill((ranking.all_relevant == 0)[:, None], torch.nan)


def _curves(
    scores: Float[Tensor, "queries items"], relevant: Bool[Tensor, "queries items"] | None, bits: int | None
) -> Float64[np.ndarray, "2 1 radii"] | None:
    """Sums over the queries of precision and recall within each Hamming radius; None without codes or labels."""
    if bits is None or relevant is None:
        return None
    distances = ((bits - scores) / 2).round().long()  # the scores are inner products of codes of +1 and -1
    curves = precision_recall_within_radius(distances, relevant, bits)
    return torch.stack([curve.sum(dim=0) for curve in curves])[:, None].cpu().numpy()
