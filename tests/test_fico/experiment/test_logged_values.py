"""Values that are logged on the CPU are neither copied nor moved; any others are moved as before."""

import pytest
import torch
from pytorch_lightning.trainer.connectors.logger_connector.result import _Metadata, _ResultCollection, _ResultMetric
from torchmetrics import MeanMetric

from fico.experiment.logged_values import keep_on_cpu


@pytest.fixture(autouse=True)
def patched(monkeypatch):
    monkeypatch.setattr(_ResultMetric, "to", getattr(_ResultMetric.to, "__wrapped__", _ResultMetric.to))
    keep_on_cpu()


def logged(value):
    results = _ResultCollection(training=False)
    results.log("on_test_epoch_end", "R@1", value, batch_size=1)
    return results, results["on_test_epoch_end.R@1"]


def test_a_value_on_the_cpu_keeps_its_description():
    results, metric = logged(torch.tensor(0.25))
    described = metric.meta
    assert results.cpu()["on_test_epoch_end.R@1"] is metric
    assert metric.meta is described
    assert results.metrics(on_step=False)["callback"] == {"R@1": 0.25}


def test_a_value_goes_to_another_device_with_its_defaults():
    _, metric = logged(torch.tensor(0.25))
    metric.to("meta")
    assert metric.value.device.type == metric._defaults["value"].device.type == "meta"


def test_a_metric_that_is_logged_is_moved_by_lightning():
    metric = _ResultMetric(_Metadata("on_test_epoch_end", "mean"), is_tensor=False)
    metric.value = MeanMetric()
    described = metric.meta
    assert metric.to("cpu").meta is not described


def test_the_second_call_changes_nothing():
    once = _ResultMetric.to
    keep_on_cpu()
    assert _ResultMetric.to is once
