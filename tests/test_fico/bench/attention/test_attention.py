"""The bench of query-time attention: its exponent, and that it times what it says."""

import math

import pytest
import torch

from fico.bench.attention.attention import main, measure
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.report.paper.cost.growth import fitted_exponent


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_is_that_of_the_law_that_made_the_times(power):
    counts = [250, 500, 1000]
    assert fitted_exponent(counts, [3e-6 * count**power for count in counts]) == pytest.approx(power)
    assert math.isnan(fitted_exponent([250], [1.0]))


@pytest.mark.parametrize("network", [SCAN(8, 8, 8, 8), IMRAM(8, 8, 8, 8)])
def test_every_size_has_its_times(network):
    costs = measure(network, 8, [(3, 5), (6, 150)])
    assert [(cost.images, cost.texts, cost.dim) for cost in costs] == [(3, 5, 8), (6, 150, 8)]
    for cost in costs:
        assert min(cost.seconds, cost.loop_cpu_seconds, cost.loop64_cpu_seconds, cost.embedding_seconds) > 0
    assert next(network.parameters()).dtype == torch.float32


def test_an_unknown_model_ends_with_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--models", "vsrn"])
    assert ended.value.code == 2
    assert "imram" in capsys.readouterr().err
