"""Runs the configured indexes on the embeddings just made."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as L

from callbacks.encoded import EncodedEpoch
from fico.bench.search import compare_indexes
from fico.search.base import Searcher


class SearchScaling(L.Callback):
    """Compares every index with exact search on the tested embeddings, in both directions.

    Args:
        encoded: Where the embeddings are read.
        indexes: A maker of each index by name.
        similarity: Measure of the model, which exact search uses.
        bits: Code length of a hashing model, None for floats.
    """

    def __init__(
        self,
        encoded: EncodedEpoch,
        indexes: Mapping[str, Callable[[], Searcher]],
        similarity: str,
        bits: int | None,
    ) -> None:
        self._encoded = encoded
        self._indexes = indexes
        self._similarity = similarity
        self._bits = bits
        self.rows: list[dict[str, Any]] = []
        """Rows of `results.json`'s ``search``."""

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        embeddings = self._encoded.embeddings
        is_indexable = embeddings.images.ndim == 2  # a pair scorer has no single vector that an index could hold
        if trainer.is_global_zero and self._indexes and is_indexable:
            self.rows = compare_indexes(
                embeddings.images,
                embeddings.texts,
                self._indexes,
                similarity=self._similarity,
                bits=self._bits,
            )
