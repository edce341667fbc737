"""Stores the test embeddings, so that later questions need no second encoding."""

import logging

import pytorch_lightning as L
import torch

from fico.embeddings.manifest import MANIFEST, write_manifest
from fico.embeddings.store import EmbeddingStore
from fico.embeddings.streamed_store import StreamedStore, as_stored
from fico.loading.copies import copied_fingerprint
from fico.run_context import RunContext
from fico.types import EncodedBatch
from fico.util.units import bytes_text, seconds_text

log = logging.getLogger(__name__)


class EmbeddingWriter(L.Callback):
    """Writes the embeddings of the test epoch with their ids and origin to ``embeddings/``; codes are packed to bits.

    In a run that encodes without evaluating, rows go from shards on disk to their places in the store, so that neither
    all rows nor, of a split several times over, all ids are in memory.

    Args:
        context: The run's.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._folder = context.folder / "embeddings"

    def on_test_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: EncodedBatch, *_: object
    ) -> None:
        if self._context.is_evaluated:
            return
        split, context = trainer.datamodule.evaluated_split(trainer), self._context
        ids = (split.image_ids, split.caption_ids)
        rows = as_stored(outputs, ids, str(context.origin["model"]), context.bits)
        context.outputs.needed_shards.add(rows, context.outputs.encode_seconds or 0.0)

    def on_test_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not self._context.is_evaluated:
            self._stream(trainer, module)
        elif trainer.is_global_zero:
            self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        split, embeddings = trainer.datamodule.evaluated_split(trainer), self._context.outputs.embeddings
        EmbeddingStore.write(
            self._folder,
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

    def _stream(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        data, context, shards = trainer.datamodule, self._context, self._context.outputs.needed_shards
        split = data.evaluated_split(trainer)
        first, times = next(shards.rows()), data.copies or 1
        words = 0
        if first.texts.ndim == 3:
            widest = torch.tensor(max(batch.texts.shape[1] for batch in shards.rows()), device=module.device)
            words = int(trainer.strategy.reduce(widest, reduce_op="max"))
        counts = {"images": times * len(split.image_ids), "texts": times * len(split.caption_ids)}
        store = StreamedStore(self._folder, first, **counts, words=words, labels=split.labels)
        if trainer.is_global_zero:
            (self._folder / MANIFEST).unlink(missing_ok=True)
            store.create()
        trainer.strategy.barrier()
        store.write(shards.rows())
        trainer.strategy.barrier()
        if not trainer.is_global_zero:
            return
        sides = store.described((split.image_ids, split.caption_ids))
        fingerprint = split.fingerprint if data.copies is None else copied_fingerprint(split.fingerprint, data.copies)
        write_manifest(
            self._folder,
            sides,
            split.correspondence,
            origin={**context.origin, "split": split.name, "data": fingerprint},
            bits=context.bits,
            classes=None if split.labels is None else split.labels.shape[1],
            copies=data.copies,
        )
        log.info(
            "encoded %s images and %s captions in %s of the network: %s in %s",
            f"{counts['images']:,}", f"{counts['texts']:,}", seconds_text(context.outputs.encode_seconds or 0.0),
            bytes_text(sum(side.nbytes for side in sides.values())), self._folder,
        )  # fmt: skip
