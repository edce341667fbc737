"""Weights are hashed once, and again when any of them has changed."""

import hashlib

import torch
from torch import nn

from fico.networks.checkpoint_io.load import weights_digest


def test_unchanged_weights_are_hashed_once(monkeypatch):
    begun = []
    original = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda *values: begun.append(1) or original(*values))
    network = nn.Linear(3, 2)
    first = weights_digest(network)
    assert weights_digest(network) == first
    assert len(begun) == 1
    again = nn.Linear(3, 2)
    again.load_state_dict(network.state_dict())
    assert weights_digest(again) == first  # the same values, in another module


def test_every_way_to_change_a_weight_is_seen():
    network = nn.BatchNorm1d(4)
    digests = [weights_digest(network)]
    network(torch.randn(3, 4))  # running statistics
    digests.append(weights_digest(network))
    network.weight.sum().backward()
    torch.optim.SGD(network.parameters(), lr=1.0).step()
    digests.append(weights_digest(network))
    network.load_state_dict(nn.BatchNorm1d(4).state_dict() | {"bias": torch.ones(4)})
    digests.append(weights_digest(network))
    network.weight = nn.Parameter(torch.full((4,), 7.0))
    digests.append(weights_digest(network))
    network.weight.data = torch.full((4,), 8.0)
    digests.append(weights_digest(network))
    assert len(set(digests)) == len(digests)


def test_weights_made_in_inference_mode_whose_changes_nobody_counts_are_hashed_each_time():
    with torch.inference_mode():
        network = nn.Linear(3, 2)
        first = weights_digest(network)
        network.bias.add_(1)
        assert weights_digest(network) != first
