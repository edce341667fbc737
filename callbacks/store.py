"""Stores the test embeddings, so that later questions need no second encoding."""

import pytorch_lightning as L

from fico.embeddings.store import EmbeddingStore
from fico.run_context import RunContext


class EmbeddingWriter(L.Callback):
    """Writes the embeddings of the test epoch with their ids and origin to ``embeddings/``; codes are packed to bits.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        split, embeddings = trainer.datamodule.evaluated_split(trainer), self._context.outputs.embeddings
        EmbeddingStore.write(
            self._context.folder / "embeddings",
            images=embeddings.images,
            texts=embeddings.texts,
            image_ids=split.image_ids,
            caption_ids=split.caption_ids,
            correspondence=split.correspondence,
            labels=split.labels,
            text_lengths=embeddings.text_lengths,
            bits=self._context.bits,
            origin={**self._context.origin, "split": split.name, "data": split.fingerprint},
        )
