"""The metrics that configs list: those of Python, cut-offs that reach them, and sentences before anything starts."""

from types import SimpleNamespace

import pytest

from fico.errors import UsageError
from fico.experiment.config.checks import check_config
from fico.experiment.context import run_context
from fico.experiment.metrics import chosen_monitor, metric_options
from fico.metrics.defaults import default_metrics
from fico.metrics.precision_recall import Precision
from tests.configs import composed


def listed(*overrides):
    return metric_options(composed(*overrides))["metrics"]


def test_the_yaml_lists_the_metrics_of_python():
    assert listed() == default_metrics()


def test_the_keys_of_cut_offs_and_definitions_reach_the_metrics():
    names = [(metric.task, metric.name) for metric in listed("metric.recall_at=[1,3]", "metric.map_at=[7]")]
    assert [name for task, name in names if name.startswith("R@")] == ["R@1", "R@3"]
    assert [name for task, name in names if name.startswith("mAP@")] == ["mAP@7", "mAP@N"]
    assert listed("metric.ap=r", "metric.recall=fraction", "metric.median=exact") == default_metrics(
        ap="r", recall="fraction", median="exact"
    )


def test_a_line_adds_a_metric_and_null_leaves_one_out():
    metrics = listed(
        "+metric.metrics.p={_target_: fico.metrics.precision_recall.Precision, k: 5}", "metric.metrics.recall_sum=null"
    )
    assert Precision(5) in metrics
    assert "RSUM" not in [metric.name for metric in metrics]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("+metric.metrics.x={_target_: fico.metrics.recall.Recall, k: 10}", "x is a second instance metric R@10"),
        ("+metric.metrics.x={_target_: fico.metrics.recall.Recall, k: 0}", "x cannot be built: k must be a whole"),
        ("+metric.metrics.x={_target_: fico.metrics.recall.Recal, k: 2}", "x._target_ .* cannot be imported"),
        ("+metric.metrics.x={_target_: fico.metrics.recall.Recall, kk: 2}", "unknown key metric.metrics.x.kk"),
        ("+metric.metrics.x={_target_: os.getcwd}", "x._target_ 'os.getcwd' is no class of metrics"),
        ("+metric.metrics.x=5", "metric.metrics.x is 5, but must be _target_: CLASS"),
        ("metric.recall_at=[0]", "metric.recall_at=.*0.* must be a list of different whole numbers"),
        ("model.monitor=val/instance/mean/MedR", "is best at its lowest"),
    ],
)
def test_a_metric_that_cannot_be_is_one_sentence(override, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_config(composed(override))


def test_a_task_without_metrics_is_named():
    nodes = ("recall", "median_rank", "mean_rank", "reciprocal_rank", "instance_gain", "recall_sum")
    left_out = [f"metric.metrics.{node}=null" for node in nodes]
    with pytest.raises(UsageError, match="metric.tasks has instance, but metric.metrics lists no metric of it"):
        check_config(composed(*left_out))


@pytest.mark.parametrize(
    ("wanted", "overrides", "has_labels", "got"),
    [
        ("val/instance/mean/R@10", (), True, "val/instance/mean/R@10"),
        ("val/instance/RSUM", (), True, "val/instance/RSUM"),
        ("val/instance/mean/R@10", ("metric.recall_at=[1,3]",), True, "val/instance/mean/R@3"),
        ("val/category/mean/mAP@N", (), False, "val/instance/mean/R@10"),
        ("val/category/mean/mAP@N", ("metric=instance",), True, "val/instance/mean/R@10"),
        ("val/instance/mean/R@10", ("metric=category",), True, "val/category/mean/mAP@N"),
        ("val/instance/mean/mine", (), True, "val/instance/mean/mine"),  # logged by a callback
    ],
)
def test_the_best_epoch_is_chosen_by_a_metric_that_is_measured(wanted, overrides, has_labels, got):
    assert chosen_monitor(wanted, metric_options(composed(*overrides)), has_labels=has_labels) == got


@pytest.mark.parametrize(("stage", "told"), [("[fit,test]", 1), ("[test]", 0)])
def test_another_monitor_is_told_once_and_only_where_epochs_are_chosen(stage, told, tmp_path, caplog):
    config = composed("model=ucch", "metric=instance", f"stage={stage}", "+untrained=true")
    check_config(config)
    train = SimpleNamespace(labels=None, fingerprint="ab")
    with caplog.at_level("INFO"):
        run_context(tmp_path, config, SimpleNamespace(splits={"train": train}, inputs=SimpleNamespace(origin={})))
    assert caplog.text.count("the best epoch is chosen by val/instance/mean/R@10") == told


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model=scan"], "corrects embeddings, but scan scores pairs"),
        (["model=ucch"], "corrects cosine or inner products, but model.similarity is hamming"),
        (["model=vsrn", "metric=category"], "corrects the instance task"),
        (["model=vsrn", "metric.nnn_k=0"], "metric.nnn_k=0 must be a whole number of at least 1"),
        (["model=vsrn", "metric.softmax_temperature=0"], "metric.softmax_temperature=0 must be a positive number"),
        (["model=vsrn", "metric.hubness_correction=softmax"], "must be one of nnn, dual_softmax"),
    ],
)
def test_a_correction_that_cannot_be_is_refused_before_anything_starts(overrides, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_config(composed("metric.hubness_correction=nnn", *overrides))


@pytest.mark.parametrize("correction", ["nnn", "dual_softmax"])
def test_each_correction_composes_with_its_options(correction):
    config = composed("model=vsrn", f"metric.hubness_correction={correction}", "metric.softmax_temperature=0.1")
    check_config(config)
    options = metric_options(config)
    assert (options["hubness_correction"], options["softmax_temperature"]) == (correction, 0.1)
