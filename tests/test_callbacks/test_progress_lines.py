"""In a pipe every long loop of a run tells how far it is."""

import re
import time

import pytest
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader

from callbacks.progress import EpochLines
from fico.run_context import RunContext
from fico.util import progress


class Slow(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        time.sleep(0.05)
        return self.map(batch).sum()

    validation_step = test_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SlowEnd(L.Callback):
    def on_test_epoch_end(self, *_):
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore")
def test_each_loop_writes_lines_until_its_batches_are_done(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    context = RunContext(
        folder=tmp_path, model={}, metric={}, monitor="val/x", indexes={}, origin={}, fingerprint=""
    )  # fmt: skip
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[EpochLines(context), SlowEnd()], logger=False, log_every_n_steps=1,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    module, batches = Slow(), DataLoader(torch.ones(4, 2))
    trainer.fit(module, batches, batches)
    trainer.test(module, batches, verbose=False)
    lines = capsys.readouterr().err.splitlines()
    for loop in ("epoch 1 of 1", "encoding the validation split", "encoding the tested split"):
        assert any(line.startswith(loop) for line in lines)
        assert any(re.fullmatch(rf"{loop}: (25|50|75) %, about [\d.]+ m?s left", line) for line in lines), lines
    assert not [line for line in lines if "100 %" in line]  # what follows the batches is no encoding
