"""One owner of the options: whatever takes them agrees with ``EvaluationOptions``."""

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import yaml

from fico.cli.app import app
from fico.errors import UsageError
from fico.evaluation.option_checks import option_problems
from fico.evaluation.options import EvaluationOptions, OptionKeywords, bind_options

CONF = Path(__file__).resolve().parents[3] / "conf" / "metric"
DEFAULTS = {option.name: getattr(EvaluationOptions(), option.name) for option in fields(EvaluationOptions)}


def test_the_keywords_of_evaluate_are_the_options():
    assert list(OptionKeywords.__annotations__) == list(DEFAULTS)
    assert not list(option_problems(DEFAULTS))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_metric_config_holds_valid_options(path):
    config = yaml.safe_load(path.read_text())
    config.pop("defaults", None)
    config.pop("positives", None)  # no option but data
    config.pop("metrics", None)  # tests/test_conf/test_conf_metrics.py
    assert not list(option_problems(config, "metric."))


def test_the_default_metric_config_repeats_the_defaults():
    config = yaml.safe_load((CONF / "both.yaml").read_text())
    del config["metrics"]
    for name, value in config.items():
        assert value == (list(DEFAULTS[name]) if isinstance(DEFAULTS[name], tuple) else DEFAULTS[name]), name


def test_the_command_line_has_the_same_defaults_and_choices():
    command = next(each.callback for each in app.registered_commands if each.callback.__name__ == "evaluate")
    parameters, hints = inspect.signature(command).parameters, get_type_hints(command)
    shared = [name for name in DEFAULTS if name in parameters]
    assert len(shared) >= 9
    for name in shared:
        assert parameters[name].default == DEFAULTS[name], name
        assert get_args(hints[name]) == get_args(get_type_hints(EvaluationOptions)[name]), name


def test_cut_offs_are_sorted_and_may_come_as_any_sequence():
    options = EvaluationOptions(recall_at=[10, 1], map_at=np.array([7, 3]), tasks=["category"])
    assert (options.recall_at, options.map_at, options.tasks) == ((1, 10), (3, 7), ("category",))


def test_options_are_equal_if_they_compute_the_same():
    assert EvaluationOptions(block=3, progress=True, shard=(1, 2)) == EvaluationOptions()
    assert EvaluationOptions(ties="index") != EvaluationOptions()


def test_every_problem_is_named_at_once_with_what_the_user_typed():
    problems = list(option_problems({"tie": "index", "folds": 0, "ap": "hits"}, "metric."))
    assert problems == [
        "unknown option metric.tie; did you mean metric.ties?",
        "metric.folds=0 must be a whole number of at least 1",
    ]
    with pytest.raises(UsageError, match="unknown option tie; .*; folds=0 must be"):
        bind_options({"tie": "index", "folds": 0})
    with pytest.raises(UsageError, match="seed=True must be"):
        EvaluationOptions(seed=True)


def test_the_options_are_checked_without_torch():
    code = "import sys, fico.evaluation.options; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
