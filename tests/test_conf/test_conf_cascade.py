"""``model=cascade`` needs two runs and a depth, and nothing else has an effect on it."""

import pytest

from fico.errors import UsageError
from fico.experiment.config.cascade import check_unused
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_pairing
from tests.configs import composed

RUNS = ("model=cascade", "model.screen=runs/ucch", "model.rank=runs/scan")


@pytest.mark.parametrize("k", ["50", "5%", "[10,50]", "[10,5%]"])
def test_two_runs_and_a_depth_are_enough(k):
    config = composed(*RUNS, f"model.k={k}")
    check_pairing(config)
    check_config(config)
    assert config.name.startswith("cascade-ucch-scan-k")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=cascade",), "model.screen is not set; .*model.rank is not set"),
        ((*RUNS, "model.k=0"), "model.k holds '0'"),
        ((*RUNS, "+model.foo=1"), "unknown key model.foo"),
    ],
)
def test_what_is_missing_or_wrong_is_said(overrides, message):
    with pytest.raises(UsageError, match=message):
        check_config(composed(*overrides))


@pytest.mark.parametrize("override", ["dataset=coco", "metric.bootstrap=0", "+trainer.max_epochs=1", "features=lite0"])
def test_what_has_no_effect_is_refused(override):
    check_unused([*RUNS, "name=mine", "logger=none", "seed=1"])
    with pytest.raises(UsageError, match="has no effect on model=cascade"):
        check_unused([*RUNS, override])
