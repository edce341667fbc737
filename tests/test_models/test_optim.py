"""Parameter groups and learning-rate schedules of fine-tuning."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from models._optim import WarmupCosine, WarmupLinear, adamw, layer_decay_groups, with_step_schedule


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(2, 2)
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.bias_table = nn.Parameter(torch.zeros(3, 2))
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)

    def layers_above(self, name):
        return {"embed": 3, "layers.0": 2, "layers.1": 1}.get(name.rsplit(".", maxsplit=1)[0], 0)


def _by_name(network, groups, key):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(parameter)]: group[key] for group in groups for parameter in group["params"]}


def test_biases_and_no_decay_tables_do_not_decay_and_nothing_is_left_out():
    network = Tower()
    decay = _by_name(network, layer_decay_groups(network, 0.1, no_decay=["bias_table"]), "weight_decay")
    assert decay.pop("bias_table") == 0
    assert all(value == (0 if name.endswith("bias") else 0.1) for name, value in decay.items())
    assert set(decay) == {name for name, p in network.named_parameters() if p.requires_grad} - {"bias_table"}


def test_the_rate_falls_with_every_layer_above():
    network = Tower()
    rates = _by_name(network, adamw(network, lr=0.5, layer_decay=0.5).param_groups, "lr")
    assert rates["bias_table"] == 0.5
    assert rates["layers.1.weight"] == rates["layers.1.bias"] == 0.25
    assert rates["layers.0.weight"] == 0.125
    assert rates["embed.bias"] == 0.0625


def _rates(make, steps=20, **how):
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 0.1)])
    schedule, rates = make(optimizer, steps=steps, **how), []
    for _ in range(steps + 1):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert all(low == pytest.approx(high / 10) for high, low in rates)
    return [high for high, _ in rates]


def test_linear_rises_and_falls_in_straight_lines_to_zero():
    rates = _rates(WarmupLinear, warmup=0.25)
    assert rates[:6] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == pytest.approx([1 - step / 15 for step in range(16)])


def test_cosine_starts_and_ends_where_it_is_told():
    rates = _rates(WarmupCosine, warmup=4, start=0.5, end=0.1)
    assert rates[:5] == pytest.approx([0.5, 0.625, 0.75, 0.875, 1.0])
    assert rates[4:] == pytest.approx([0.1 + 0.9 * (1 + math.cos(math.pi * step / 16)) / 2 for step in range(17)])


def test_a_fall_by_epochs_stands_still_within_one():
    rates = _rates(WarmupCosine, warmup=0, by_epoch=True, epochs=4)
    assert len(set(rates[:20])) == 4
    assert rates[0] == 1
    assert rates[5:10] == pytest.approx([(1 + math.cos(math.pi / 4)) / 2] * 5)


def test_without_a_trainer_the_rate_stays():
    class Module:
        _trainer = None

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    assert with_step_schedule(Module(), optimizer, partial(WarmupLinear, warmup=0.1)) is optimizer
