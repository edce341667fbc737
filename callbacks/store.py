"""Writes the tested embeddings, so that every later question needs no second encoding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as L

from callbacks.encoded import EncodedEpoch
from fico.embeddings.store import EmbeddingStore


class EmbeddingWriter(L.Callback):
    """Stores the embeddings of the test epoch with their ids and origin; codes are packed to bits.

    Args:
        encoded: Where the embeddings are read.
        folder: The run's folder; the store is its subfolder ``embeddings``.
        bits: Code length of a hashing model, None for floats.
        origin: What made the embeddings: model, config, data fingerprint.
    """

    def __init__(self, encoded: EncodedEpoch, folder: Path, bits: int | None, origin: Mapping[str, Any]) -> None:
        self._encoded = encoded
        self._folder = folder / "embeddings"
        self._bits = bits
        self._origin = dict(origin)

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        split = trainer.datamodule.evaluated_split(trainer)
        EmbeddingStore.write(
            self._folder,
            images=self._encoded.embeddings.images,
            texts=self._encoded.embeddings.texts,
            image_ids=split.image_ids,
            caption_ids=split.caption_ids,
            correspondence=split.correspondence,
            labels=split.labels,
            text_lengths=self._encoded.embeddings.text_lengths,
            bits=self._bits,
            origin=self._origin | {"split": split.name, "data": split.fingerprint},
        )
