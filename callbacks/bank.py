"""Embeddings of the training split, against which a hubness correction measures how often an item is near."""

from pathlib import Path

import pytorch_lightning as L
import torch
from torch import Tensor

from fico.embeddings.collect import Collector


def encode_bank(trainer: L.Trainer, module: L.LightningModule, folder: Path) -> tuple[Tensor, Tensor]:
    """Images and captions of the training split, as the test encodes its own; every process encodes all of them.

    Args:
        trainer: Its data, device and precision.
        module: The model, in evaluation mode.
        folder: Where rows of more than a GiB are kept in temporary files.
    """
    split = trainer.datamodule.splits["train"]
    collector = Collector(len(split.image_ids), len(split.caption_ids), folder)
    for index, batch in enumerate(trainer.datamodule.bank_dataloader()):
        moved = trainer.strategy.batch_to_device(batch)
        with torch.no_grad(), trainer.precision_plugin.test_step_context():
            collector.add(module.test_step(moved, index))
    encoded = collector.finish()
    return encoded.images, encoded.texts
