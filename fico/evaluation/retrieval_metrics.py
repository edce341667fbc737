"""The torchmetrics object of a whole evaluation: validation and test loops update it and compute the result."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor
from torchmetrics import Metric

from fico.embeddings.collect import FIELDS, Collector
from fico.embeddings.store import check_finite
from fico.errors import FicoError, UsageError
from fico.evaluation.engine import find_device
from fico.evaluation.evaluate import evaluate, evaluate_scores, merge_results
from fico.evaluation.folds import check_positives
from fico.evaluation.gather import gather_uneven_rows
from fico.evaluation.hubness.correction import Bank
from fico.evaluation.hubness.score_bank import ScoreBank
from fico.evaluation.options import EvaluationOptions, OptionKeywords, bind_options
from fico.evaluation.result import RetrievalResult
from fico.similarity import Similarity
from fico.types import Correspondence, EncodedBatch
from fico.util.processes import gather_objects

ScorePairs = Callable[[EncodedBatch], tuple[np.ndarray, np.ndarray]]


class RetrievalMetrics(Metric):
    """Every instance and category metric of a split, updated with its encoded batches.

    `fico.evaluate` as a `torchmetrics.Metric`: the same engine, the same numbers. The states are the ids and rows of
    both sides. `compute` lets torchmetrics gather them from all processes, brings them into the order of the ids,
    evaluates this process's shard of the queries and joins the shards, so that every process has the whole result.

    The rows are kept on the metric's device: after ``.to("cuda")`` on the GPU, where the torch engine evaluates them,
    as long as they take at most a quarter of its free memory; else on the CPU, where the compiled kernels do.

    Args:
        correspondence: The image row of each caption, or any number of positives of each query; ids of encoded batches
            are rows of it.
        images: Number of images; by default that of ``labels``, else one more than the last image with a caption.
        labels: Multi-hot ``images classes``; without them only the instance metrics are computed.
        similarity: As in `fico.evaluate`; not read where ``score_pairs`` makes the scores.
        bits: Length of packed codes.
        positives: Further positives by the name of their task, as in `fico.evaluate`.
        bank: Embeddings of the training split, as in `fico.evaluate`; with ``score_pairs`` scores, as in
            `fico.evaluate_scores`.
        score_pairs: Makes the scores ``images captions`` and ``captions images`` of all encoded rows: a pair scorer or
            re-ranker. None compares the embeddings.
        names: Names of the images and of the captions, for errors; by default their rows.
        folder: Where rows of more than a GiB are kept in temporary files if no GPU holds them; None keeps them in
            memory.
        options: What is computed, and how; all defaults if not given.
        **keywords: Single options of `fico.EvaluationOptions`, in place of those of ``options``. ``device="auto"`` is
            the metric's device; ``shard`` is set by `compute`.

    Raises:
        DataError: A caption belongs to an image behind the last one.
        UsageError: There is no such option, one has a value that it cannot have, or the device is not there.

    Example:
        >>> import torch
        >>> from fico import Correspondence, EncodedBatch, RetrievalMetrics
        >>> metric = RetrievalMetrics(Correspondence([0, 1, 2]), similarity="cosine", recall_at=(1, 2))
        >>> rows = torch.eye(3)
        >>> for ids in (torch.tensor([2, 0]), torch.tensor([1])):
        ...     metric.update(EncodedBatch(images=rows[ids], image_ids=ids, texts=rows[ids], text_ids=ids))
        >>> metric.compute().metrics["instance/i2t/R@1"]
        1.0
    """

    is_differentiable = False
    full_state_update = True  # one more batch changes the gallery, and so the rank of every query

    encoded: EncodedBatch | None
    """Rows of the whole split in the order of their ids, after `compute`; on the device where they are kept."""
    scores: tuple[np.ndarray, np.ndarray] | None
    """Scores ``images captions`` and ``captions images``, after `compute` with ``score_pairs``."""
    _collector: Collector | None

    def __init__(
        self,
        correspondence: Correspondence,
        *,
        images: int | None = None,
        labels: ArrayLike | Tensor | None = None,
        similarity: Similarity = "cosine",
        bits: int | None = None,
        positives: Mapping[str, Correspondence] | None = None,
        bank: Bank | ScoreBank | None = None,
        score_pairs: ScorePairs | None = None,
        names: tuple[Sequence[str], Sequence[str]] | None = None,
        folder: Path | None = None,
        options: EvaluationOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        super().__init__(dist_sync_fn=self._gather)
        self.options = bind_options({**({} if options is None else options.keywords()), **keywords})
        find_device(np.empty(0), self.options)  # before the encoding, not after it
        self.correspondence, self.labels = correspondence, labels
        self.similarity, self.bits, self.score_pairs = similarity, bits, score_pairs
        self._counts = (_count_images(correspondence, images, labels), len(correspondence.caption_to_image))
        correspondence.check(*self._counts)
        self.positives, self.bank = dict(positives or {}), bank
        check_positives(correspondence, self.positives, self._counts[0], self.options.folds, labels is not None)
        self._names = names or tuple([str(row) for row in range(count)] for count in self._counts)
        self._folder = folder
        for name in FIELDS:  # one tensor each; None: gathered tensors stay a list, which is not copied once more
            self.add_state(name, [], dist_reduce_fx=None)
        self.reset()

    def update(self, encoded: EncodedBatch) -> None:
        """Adds the rows of a batch, in any order.

        Raises:
            FicoError: There are more rows than the correspondence has, or they fit onto no device, memory or disk.
        """
        if self._collector is None:
            self._collector = Collector(*self._counts, self._folder, self._device_of_rows())
        self.encoded = self.scores = None
        self._collector.add(encoded)
        self._set_states(self._collector.parts())

    def compute(self) -> RetrievalResult:
        """The whole result, in every process. `encoded` and `scores` are what it was computed from.

        Raises:
            FicoError: An id of the correspondence is missing or repeated.
            DataError: As `fico.evaluate`.
        """
        self.encoded = encoded = self._collected()
        for values, names, side in zip((encoded.images, encoded.texts), self._names, ("image", "caption"), strict=True):
            if not (values.is_cuda and values.isfinite().all()):  # so that no row leaves a GPU in vain
                check_finite(values.cpu(), names, side, "the encoder")
        if not self._is_synced:
            return self._evaluate(encoded, self.options)
        return self._evaluate_shards(encoded)

    def reset(self) -> None:
        """Forgets all rows and frees their memory."""
        super().reset()
        self._collector = self.encoded = self.scores = None
        # every process has one tensor a state, so that one without rows gathers as many times as the others
        self._set_states({name: [torch.empty(0, device=self.device)] for name in FIELDS})

    def forward(self, *_: Any, **__: Any) -> None:
        """Not supported: a batch has no value of its own.

        Raises:
            UsageError: Always; it says what to call.
        """
        raise UsageError(
            "a batch has no retrieval metrics of its own, as its queries rank the items of all batches; call "
            "metric.update(encoded) for each batch and metric.compute() at the end, in place of metric(encoded)"
        )

    def _evaluate(self, encoded: EncodedBatch, options: EvaluationOptions) -> RetrievalResult:
        if self.score_pairs is None:
            return evaluate(
                encoded.images, encoded.texts, self.correspondence, labels=self.labels, similarity=self.similarity,
                bits=self.bits, positives=self.positives, bank=cast(Bank | None, self.bank), options=options,
            )  # fmt: skip
        self.scores = i2t, t2i = self.score_pairs(encoded)
        return evaluate_scores(
            i2t=i2t, t2i=t2i, correspondence=self.correspondence, labels=self.labels, positives=self.positives,
            bank=cast(ScoreBank | None, self.bank), options=options,
        )  # fmt: skip

    def _evaluate_shards(self, encoded: EncodedBatch) -> RetrievalResult:
        """This process's shard, joined with those of the others; an error in any of them is every process's."""
        shard = (dist.get_rank(self.process_group), dist.get_world_size(self.process_group))
        own: RetrievalResult | FicoError
        try:
            own = self._evaluate(encoded, replace(self.options, shard=shard))
        except FicoError as error:
            own = error
        results = gather_objects(own, self.process_group)
        for result in results:
            if isinstance(result, FicoError):
                raise result
        return merge_results(cast(list[RetrievalResult], results))

    def _collected(self) -> EncodedBatch:
        collector = self._collector or Collector(*self._counts)
        if not self._is_synced:
            return collector.finish()
        return collector.merge({name: getattr(self, name) for name in FIELDS})

    def _device_of_rows(self) -> torch.device:
        """The GPU of the metric or of the options, else the CPU."""
        device = self.device if self.options.device == "auto" else torch.device(self.options.device)
        return device if device.type == "cuda" else torch.device("cpu")

    def _set_states(self, states: dict[str, list[Tensor]]) -> None:
        for name, parts in states.items():
            setattr(self, name, parts)

    def _gather(self, rows: Tensor, group: Any = None) -> list[Tensor]:
        collector = self._collector or Collector(*self._counts)
        return gather_uneven_rows(rows, group, allocate=collector.allocate)

    def _copy_state_dict(self) -> dict[str, Any]:
        """What `unsync` restores. Synchronisation replaces the lists, so the tensors in them need no copies."""
        return {name: list(getattr(self, name)) for name in self._defaults}

    def _wrap_compute(self, compute: Callable[[], RetrievalResult]) -> Callable[[], RetrievalResult]:
        """As torchmetrics, which clones the tensors of what `compute` returns and refuses a frozen dataclass there."""
        wrapped = super()._wrap_compute(lambda: _Held(compute()))

        @functools.wraps(compute)
        def held() -> RetrievalResult:
            found: RetrievalResult = wrapped().result
            return found

        return held


class _Held:
    """A result that torchmetrics passes on as it is."""

    def __init__(self, result: RetrievalResult) -> None:
        self.result = result


def _count_images(correspondence: Correspondence, images: int | None, labels: ArrayLike | Tensor | None) -> int:
    if images is not None:
        return images
    return correspondence.least_images if labels is None else len(labels)  # type: ignore[arg-type]
