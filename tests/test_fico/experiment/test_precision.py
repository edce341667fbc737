"""One mechanism for mixed precision: Lightning's plugin, around test steps and around the scoring of pairs."""

import pytest
import pytorch_lightning as L
import torch
from torch.utils.data import DataLoader

from fico.experiment.training import use_test_precision


class Module(L.LightningModule):
    """Notes the dtypes of its products."""

    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(2, 2)
        self.dtypes = {}

    def training_step(self, batch, batch_idx):
        product = self.map(batch)
        self.dtypes["training"] = product.dtype
        return product.float().sum()

    def test_step(self, batch, batch_idx):
        self.dtypes["test"] = self.map(batch).dtype

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Scores(L.Callback):
    """Computes at the end of the epoch, as the scoring of pairs does."""

    def on_test_epoch_end(self, trainer, module):
        with trainer.precision_plugin.forward_context():
            module.dtypes["scores"] = module.map(torch.ones(1, 2)).dtype


@pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers")
@pytest.mark.parametrize(
    ("training", "test", "dtypes"),
    [
        ("32-true", None, (torch.float32, torch.float32)),
        ("32-true", "bf16", (torch.float32, torch.bfloat16)),
        ("32-true", "fp16", (torch.float32, torch.float16)),
        ("bf16-mixed", None, (torch.bfloat16, torch.bfloat16)),
    ],
)
def test_encoding_and_scoring_share_the_precision_of_the_test(training, test, dtypes):
    module, batches = Module(), DataLoader(torch.ones(2, 2))
    trainer = L.Trainer(
        accelerator="cpu", precision=training, max_epochs=1, callbacks=[Scores()], logger=False, log_every_n_steps=1,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, batches)
    use_test_precision(trainer, test)
    trainer.test(module, batches, verbose=False)
    assert module.dtypes == {"training": dtypes[0], "test": dtypes[1], "scores": dtypes[1]}
    assert module.map(torch.ones(1, 2)).dtype == torch.float32
