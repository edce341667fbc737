"""DADH's losses: triplets by labels, the adversarial terms, the closed-form codes."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from fico.losses.adversarial import discriminator_terms, generator_loss
from fico.losses.discrete_codes import DiscreteCodes, label_projection
from fico.losses.label_triplet import LabelTriplet, ranking_gains, shared_labels

LABELS = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1]]).bool()


def _codes(seed, count=5, bits=4):
    return torch.randn(count, bits, generator=torch.Generator().manual_seed(seed)).tanh()


def _slow_triplet(anchors, items, labels, margin, is_weighted, factor):
    """One triplet at a time, from the definition."""
    overlap = (labels.float() @ labels.float().T).numpy()
    cosine = torch.nn.functional.cosine_similarity(anchors[:, None], items[None], dim=2)
    distance, total = (1 - cosine).clamp(min=0), 0.0
    for j, p, n in product(range(len(labels)), repeat=3):
        if overlap[j, p] == 0 or overlap[j, n] > 0:
            continue
        ideal = sum((2**o - 1) / np.log2(rank + 2) for rank, o in enumerate(sorted(overlap[j], reverse=True)))
        weight = 10 * factor**2 * (2 ** overlap[j, p] - 1) / ideal if is_weighted else factor
        total += weight * max(0.0, float(distance[j, p] - distance[j, n]) + margin)
    return total


@pytest.mark.parametrize("is_weighted", [True, False])
def test_triplets_equal_a_loop_over_the_definition(is_weighted):
    anchors, items = _codes(0), _codes(1)
    fast = LabelTriplet(margin=0.4, is_weighted=is_weighted, factor=1.1)(anchors, items, LABELS)
    assert fast.item() == pytest.approx(_slow_triplet(anchors, items, LABELS, 0.4, is_weighted, 1.1), rel=1e-5)


def test_pairs_that_all_share_a_label_cost_nothing():
    labels = torch.ones(5, 1, dtype=torch.bool)
    assert LabelTriplet()(_codes(0), _codes(1), labels) == 0


def test_a_batch_in_another_order_costs_the_same():
    order = torch.tensor([3, 0, 4, 1, 2])
    loss = LabelTriplet()
    torch.testing.assert_close(
        loss(_codes(0), _codes(1), LABELS), loss(_codes(0)[order], _codes(1)[order], LABELS[order])
    )


def test_gains_of_the_best_ranking_add_up_to_one_with_their_discounts():
    gains = ranking_gains(shared_labels(LABELS)).sort(dim=1, descending=True).values
    discounted = (gains / torch.log2(torch.arange(2, 7))).sum(dim=1)
    torch.testing.assert_close(discounted, torch.ones(5))


def test_a_pair_without_labels_is_an_anchor_of_nothing_and_a_negative_of_all():
    labels = LABELS.clone()
    labels[4] = False
    anchors = _codes(0).requires_grad_()
    loss = LabelTriplet(margin=2.0)(anchors, _codes(1), labels)
    loss.backward()
    assert loss.isfinite()
    assert (anchors.grad[4] == 0).all()
    assert (anchors.grad[:4] != 0).any(dim=1).all()


def _discriminator(dim=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(dim, 8), nn.ReLU(), nn.Linear(8, 1))


def test_discriminator_terms_are_cross_entropies_of_images_as_real_and_texts_as_fake():
    discriminator, images, texts = _discriminator(), _codes(0), _codes(1)
    terms = discriminator_terms(discriminator, images, texts, torch.rand(5, 4), weight=0.5)
    real, fake = discriminator(images).sigmoid(), discriminator(texts).sigmoid()
    torch.testing.assert_close(terms.real, -0.5 * real.log().mean())
    torch.testing.assert_close(terms.fake, -0.5 * (1 - fake).log().mean())
    torch.testing.assert_close(generator_loss(discriminator, texts), -fake.log().mean())


def test_the_penalty_is_zero_where_the_slope_is_one_everywhere():
    flat = nn.Linear(4, 1)
    with torch.no_grad():
        flat.weight.copy_(torch.tensor([[0.6, 0.0, 0.8, 0.0]]))
        steep = nn.Linear(4, 1)
        steep.weight.copy_(3 * flat.weight)
    draws = torch.rand(5, 4)
    assert discriminator_terms(flat, _codes(0), _codes(1), draws).penalty.item() == pytest.approx(0, abs=1e-10)
    assert discriminator_terms(steep, _codes(0), _codes(1), draws).penalty.item() == pytest.approx(40, rel=1e-5)


def test_the_penalty_looks_between_image_and_text_element_by_element():
    """A discriminator that is bent at 0 shows at which points it was evaluated."""
    bent = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        bent[0].weight.copy_(torch.eye(2))
        bent[2].weight.fill_(1.0)
    images, texts = torch.ones(1, 2), -torch.ones(1, 2)
    for draws, slopes in (([1.0, 1.0], 2), ([1.0, 0.0], 1), ([0.0, 0.0], 0)):
        penalty = discriminator_terms(bent, images, texts, torch.tensor([draws])).penalty
        assert penalty.item() == pytest.approx(10 * (np.sqrt(slopes) - 1) ** 2, rel=1e-5)


def test_the_generator_gets_no_gradient_from_the_discriminators_terms():
    images, texts, discriminator = _codes(0).requires_grad_(), _codes(1).requires_grad_(), _discriminator()
    terms = discriminator_terms(discriminator, images, texts, torch.rand(5, 4))
    (terms.real + terms.fake + terms.penalty).backward()
    assert images.grad is None
    assert texts.grad is None
    assert all(parameter.grad is not None for parameter in discriminator.parameters() if parameter.ndim > 1)


def test_a_discriminator_that_is_sure_gives_a_finite_loss():
    sure = nn.Linear(1, 1, bias=False)
    nn.init.constant_(sure.weight, 1e4)
    terms = discriminator_terms(sure, torch.full((3, 1), -1.0), torch.ones(3, 1), torch.rand(3, 1))
    assert terms.real.item() == terms.fake.item() == 1e4


def test_the_projection_solves_the_ridge_regression():
    labels, codes = LABELS.double(), _codes(3).sign().double()
    projection = label_projection(labels, codes, ridge=2.0)
    slope = labels.T @ (labels @ projection - codes) + 2.0 * projection
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)


def _filled(mu=1e-5):
    made = DiscreteCodes(train_pairs=8, classes=3, bits=4, mu=mu, seed=1)
    made.record(torch.tensor([6, 0, 3, 2, 5]), _codes(0), _codes(1), LABELS)
    return made


def test_an_update_gives_pairs_of_the_same_labels_the_same_codes():
    made = DiscreteCodes(train_pairs=5, classes=3, bits=4, mu=0.0)
    made.record(torch.arange(5), _codes(0), _codes(1), LABELS[[0, 1, 0, 1, 2]])
    made.update()
    assert torch.equal(made.codes[0], made.codes[2])
    assert torch.equal(made.codes[1], made.codes[3])


def test_a_large_mu_makes_the_codes_the_signs_of_the_continuous_ones():
    made = _filled(mu=1e4)
    made.update()
    assert torch.equal(made.codes[torch.tensor([6, 0, 3, 2, 5])], (_codes(0) + _codes(1)).sign())


def test_a_pair_that_no_batch_has_held_keeps_its_code():
    made = _filled()
    before = made.codes.clone()
    made.update()
    assert torch.equal(made.codes[[1, 4, 7]], before[[1, 4, 7]])
    assert not torch.equal(made.codes, before)
    assert made.codes.abs().eq(1).all()


def test_quantisation_is_the_squared_distance_to_the_pairs_own_rows():
    made, rows = _filled(), torch.tensor([7, 0, 3, 2, 5])
    terms = made(_codes(0), _codes(1), rows)
    assert terms.image.item() == pytest.approx(sum((made.codes[rows] - _codes(0)).pow(2).flatten().tolist()), rel=1e-5)
    assert terms.text.item() == pytest.approx(sum((made.codes[rows] - _codes(1)).pow(2).flatten().tolist()), rel=1e-5)


def test_the_start_codes_follow_the_seed():
    first, again, other = (DiscreteCodes(50, 3, 8, seed=seed).codes for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().eq(1).all()


def test_the_triplets_gradient_is_right():
    loss = LabelTriplet(margin=0.45)
    anchors, items = _codes(0).double().requires_grad_(), _codes(1).double().requires_grad_()
    assert gradcheck(lambda a, i: loss(a, i, LABELS), (anchors, items))
