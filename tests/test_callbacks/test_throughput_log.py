"""While a loop runs, loggers learn how fast it is."""

import pytest
import pytorch_lightning as L
import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from callbacks import throughput
from fico.types import PairBatch


class Lines(Logger):
    def __init__(self):
        super().__init__()
        self.lines = []

    name, version = "lines", 0

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        self.lines.append((step, metrics))


class Counting(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.map(batch.images).sum()

    validation_step = test_step = training_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def batches(images, captions):
    rows = [PairBatch(torch.ones(images, 2), torch.arange(images), torch.ones(captions, 2), torch.arange(captions))] * 3
    return DataLoader(rows, batch_size=None)


@pytest.fixture
def logged(monkeypatch, tmp_path):
    def run(seconds_of_a_batch):
        clock = iter(range(1000))
        monkeypatch.setattr(throughput.time, "monotonic", lambda: seconds_of_a_batch * next(clock))
        lines = Lines()
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=1, callbacks=[throughput.ThroughputLog()], logger=lines, barebones=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            default_root_dir=tmp_path, log_every_n_steps=1,
        )  # fmt: skip
        module = Counting()
        trainer.fit(module, batches(4, 4), batches(2, 10))
        trainer.test(module, batches(1, 5), verbose=False)
        return [(step, values) for step, values in lines.lines if any("throughput" in name for name in values)]

    return run


@pytest.mark.filterwarnings("ignore")
def test_items_a_second_of_each_loop_and_the_memory_are_logged_while_it_runs(logged):
    lines = logged(10.0)
    rates = [(name, value) for _, values in lines for name, value in values.items() if "items" in name]
    assert rates[0] == ("throughput/train/items_per_second", pytest.approx(8 / 10))
    assert ("throughput/val/items_per_second", pytest.approx(12 / 10)) in rates
    assert ("throughput/test/items_per_second", pytest.approx(6 / 10)) in rates
    assert [step for step, _ in lines[:2]] == [1, 2]
    assert all(1e6 < values["throughput/process_bytes"] < 1e12 for _, values in lines)
    assert "throughput/gpu_bytes" not in lines[0][1]


@pytest.mark.filterwarnings("ignore")
def test_a_short_loop_logs_nothing(logged):
    assert logged(1.0) == []
