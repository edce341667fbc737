"""The hinge loss against a loop, and its laws."""

import pytest
import torch

from fico.losses.triplet import TripletHinge


def _slow(scores, margin, hardest):
    total = 0.0
    for i in range(len(scores)):
        others = [j for j in range(len(scores)) if j != i]
        images = [max(0.0, margin + float(scores[i, j]) - float(scores[i, i])) for j in others]
        texts = [max(0.0, margin + float(scores[j, i]) - float(scores[i, i])) for j in others]
        total += max(images) + max(texts) if hardest else sum(images) + sum(texts)
    return total


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_it_equals_a_loop_over_triplets(hardest, margin):
    scores = torch.randn(7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert TripletHinge(margin, hardest)(scores).item() == pytest.approx(_slow(scores, margin, hardest))


def test_a_wide_lead_costs_nothing():
    assert TripletHinge(0.2)(torch.eye(5)) == 0
    assert TripletHinge(1.5)(torch.eye(5)) == pytest.approx(10 * 0.5)


def test_the_hardest_negative_alone_gets_a_gradient():
    scores = torch.tensor([[0.5, 0.6, 0.4], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]], requires_grad=True)
    TripletHinge(0.2)(scores).backward()
    assert scores.grad[0, 1] == 2  # hardest of its row and of its column
    assert scores.grad[0, 2] == 1  # hardest of its column only


def test_constant_scores_cost_the_margin_in_both_directions():
    assert TripletHinge(0.2)(torch.full((4, 4), -3.0)).item() == pytest.approx(4 * 2 * 0.2)
