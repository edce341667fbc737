"""What a run provides to its callbacks, and what they return: the typed border between the runner and ``callbacks``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fico.embeddings.encoded_shards import EncodedShards
from fico.evaluation.result import RetrievalResult
from fico.search.base import Searcher
from fico.similarity import Similarity
from fico.types import EncodedBatch

STAMP = "fico"  # key of a checkpoint under which its model config and data fingerprint are stored


@dataclass(frozen=True, slots=True)
class EpochValues:
    """What an epoch of the training reached: ``loss`` and ``monitored`` metric, None where it was not logged."""

    epoch: int
    loss: float | None
    monitored: float | None


@dataclass(slots=True, eq=False)
class EpochOutputs:
    """What the callbacks made of the last evaluation epoch; after a test `results.json` is written from it.

    Args:
        encoded: The metric's rows: embeddings of the whole split in the order of the ids, on the CPU, the same in every
            process.
        i2t: ``images captions``: scores of a pair scorer or re-ranker; None where the embeddings are compared.
        t2i: ``captions images``; of a re-ranker not the transpose of the other.
        result: Metrics of the last test epoch.
        encode_seconds: Time of the network alone; None where nothing measures it.
        encode_cpu_seconds: Processor time of the network on a CPU; None on a GPU, and where a killed run goes on.
        encode_wall_seconds: The same epoch with loading the data and collecting the rows.
        attention_seconds: Time of scoring pairs; 0 for an encoder.
        peak_memory_bytes: Of the GPU where there is one, else of the process.
        peak_process_memory_bytes: Of the process where ``peak_memory_bytes`` is the GPU's.
        flops_per_item: Floating-point operations to encode an image or caption, on average; None: not counted.
        encoding: Times of encoding growing numbers of copies of the split, where they are measured.
        attention: Times of attention at query time on growing query sets, where they are measured.
        search_rows: Rows of ``search`` in `results.json`.
        history: Of each epoch of the training, the first first.
        shards: Encoded batches of the test on disk, with which a killed run goes on; None stores none.
    """

    encoded: EncodedBatch | None = None
    i2t: np.ndarray | None = None
    t2i: np.ndarray | None = None
    result: RetrievalResult | None = None
    encode_seconds: float | None = None
    encode_cpu_seconds: float | None = None
    encode_wall_seconds: float | None = None
    attention_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    peak_process_memory_bytes: int | None = None
    flops_per_item: float | None = None
    encoding: list[dict[str, Any]] = field(default_factory=list)
    attention: list[dict[str, Any]] = field(default_factory=list)
    search_rows: list[dict[str, Any]] = field(default_factory=list)
    history: list[EpochValues] = field(default_factory=list)
    shards: EncodedShards | None = None

    @property
    def embeddings(self) -> EncodedBatch:
        """The embeddings of the epoch that has just ended.

        Raises:
            RuntimeError: No epoch has ended, or a callback reads them before the metric is computed.
        """
        if self.encoded is None:
            raise RuntimeError("no embeddings yet: RetrievalEvaluation must stand before the callbacks that read them")
        return self.encoded

    @property
    def needed_shards(self) -> EncodedShards:
        """The shards of a run whose rows are kept nowhere else.

        Raises:
            RuntimeError: The run has no folder for them.
        """
        if self.shards is None:
            raise RuntimeError(
                "no shards: a run that encodes without evaluating requires the mark of an unfinished run"
            )
        return self.shards


@dataclass(frozen=True, slots=True, eq=False)
class RunContext:
    """One run as its callbacks see it.

    Args:
        folder: The run's folder.
        model: The resolved ``model`` node, with the sizes that come from the data.
        metric: Options of `fico.evaluate` by name.
        monitor: Validation metric that selects the best epoch.
        indexes: Builds each index of the search comparison, by name.
        origin: What makes the embeddings: model, config, features, weights.
        fingerprint: Fingerprint of the training split.
        key: Digest of config, data and code.
        outputs: Filled by the callbacks.
        positives: Sources of further positives of the test split, by the name of their task.
        is_evaluated: Whether the encoded test split is evaluated; False where it is encoded and stored alone.
    """

    folder: Path
    model: Mapping[str, Any]
    metric: Mapping[str, Any]
    monitor: str
    indexes: Mapping[str, Callable[..., Searcher]]
    origin: Mapping[str, Any]
    fingerprint: str
    key: str = ""
    outputs: EpochOutputs = field(default_factory=EpochOutputs)
    positives: Mapping[str, str] = field(default_factory=dict)
    is_evaluated: bool = True

    @property
    def similarity(self) -> Similarity:
        """Measure by which the embeddings are compared; not read where a model scores pairs itself."""
        similarity: Similarity = self.model["similarity"]
        return similarity

    @property
    def bits(self) -> int | None:
        """Code length of a hashing model; None for floats."""
        return self.model.get("bits")

    @property
    def rerank(self) -> Mapping[str, Any] | None:
        """``k`` and ``rule`` of `fico.Rerank`; None without re-ranking."""
        return self.model.get("rerank")
