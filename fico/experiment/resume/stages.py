"""How far the stages of a run came in its folder: the training by its checkpoints, the encoding by its shards."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as L

from fico.embeddings.encoded_shards import EncodedShards
from fico.experiment.checkpoints.best_and_last import LAST
from fico.experiment.checkpoints.module import load_checkpoint
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.resume.unfinished import ENCODED, Unfinished
from fico.networks.checkpoint_io.load import weights_digest
from fico.run_context import STAMP, RunContext

log = logging.getLogger(__name__)


def resumed_checkpoint(context: RunContext, unfinished: Unfinished | None) -> Path | None:
    """The checkpoint of this very run that a killed process left; None where it wrote none."""
    if unfinished is None or not unfinished.is_resumed:
        return None
    if unfinished.fitted is not None:
        log.info("the training is done; the test goes on")
        return context.folder / str(unfinished.fitted["tested"])
    last = context.folder / "checkpoints" / LAST
    if not last.is_file():
        return None
    checkpoint = load_checkpoint(last)
    if checkpoint.get(STAMP, {}).get("run") != context.key:
        return None
    log.info("the training goes on after epoch %d", checkpoint["epoch"] + 1)
    return last


def record_training(unfinished: Unfinished, tested: Path | None, notes: Sequence[str]) -> None:
    """Remember that the training is done, with the checkpoint to test and the notes on its end.

    A checkpoint in the run's folder is remembered by its place in it, as the folder may be moved.
    """
    is_own = tested is not None and tested.is_relative_to(unfinished.folder)
    place = tested.relative_to(unfinished.folder) if tested is not None and is_own else tested
    unfinished.fitted = {"tested": str(place), "notes": list(notes)}
    unfinished.write()


def store_encoded(
    trainer: L.Trainer, module: L.LightningModule, data: RetrievalDataModule, context: RunContext
) -> None:
    """Let the test skip the batches that a killed process encoded, and store those that follow."""
    settings = f"{context.key} {weights_digest(module)} {trainer.world_size} {data.evaluation_batch}"
    key = hashlib.sha256(settings.encode()).hexdigest()
    only_copy = not context.is_evaluated
    shards = EncodedShards(context.folder / ENCODED, key, trainer.global_rank, is_only_copy=only_copy)
    context.outputs.shards, data.encoded_batches = shards, shards.batches
    if shards.batches:
        log.info("%d batches are encoded already", shards.batches)
