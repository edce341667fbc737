"""The bar of a training."""

from types import SimpleNamespace

from pytorch_lightning.callbacks import RichProgressBar

from fico.experiment.progress_bar import EpochBar


def test_an_epoch_has_the_number_that_the_lines_give_it():
    bar = EpochBar()
    bar._trainer = SimpleNamespace(max_epochs=3)
    assert bar._get_train_description(0).strip() == "epoch 1 of 3"
    assert bar._get_train_description(2).strip() == "epoch 3 of 3"


def test_no_version_stands_beside_the_loss(monkeypatch):
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *_: {"v_num": "x", "train/loss": 1.0})
    assert EpochBar().get_metrics(None, None) == {"train/loss": 1.0}
