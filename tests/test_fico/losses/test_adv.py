"""ADV's losses: angles, caption variants, weight norms, and the exchange of words."""

import math

import pytest
import torch
from torch import nn

from fico.losses.angular import Angular
from fico.losses.caption_variants import Adversary, Rephrase
from fico.losses.weight_norms import weight_norms
from fico.losses.word_exchange import WordExchange
from fico.networks.blocks.balanced import RegionHasher, ScreeningHead


def _codes(seed, count=5):
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def _slow_angular(anchors, positives):
    anchors, positives = ((side / side.norm(dim=1, keepdim=True)).tolist() for side in (anchors, positives))
    total = 0.0
    for i, (a, p) in enumerate(zip(anchors, positives, strict=True)):
        wide = [
            4 * sum((x + y) * z for x, y, z in zip(a, p, n, strict=True))
            - 4 * math.fsum(x * y for x, y in zip(a, p, strict=True))
            for j, n in enumerate(positives)
            if j != i
        ]
        total += math.log1p(math.exp(max(wide)))
    return total


def test_angular_equals_a_loop_over_the_definition():
    images, texts = _codes(0), _codes(1)
    terms = Angular()(images, texts)
    assert terms.i2t.item() == pytest.approx(_slow_angular(images, texts), rel=1e-5)
    assert terms.t2i.item() == pytest.approx(_slow_angular(texts, images), rel=1e-5)


def test_angular_does_not_see_the_scale_of_a_code():
    torch.testing.assert_close(Angular()(_codes(0) * 1e-3, _codes(1)).i2t, Angular()(_codes(0), _codes(1)).i2t)


def test_rephrased_captions_that_point_to_the_image_cost_nothing_and_opposite_ones_two():
    images = _codes(0)
    same, opposite = images.unsqueeze(1) * 3, -images.unsqueeze(1)
    assert Rephrase()(images, same).item() == pytest.approx(0, abs=1e-5)
    assert Rephrase()(images, torch.cat([same, opposite], dim=1)).item() == pytest.approx(2 * 5, rel=1e-5)


@pytest.mark.parametrize(("margin", "cost"), [(0.5, 0.0), (1.5, 0.5 * 5), (3.0, 2.0 * 5)])
def test_a_falsified_caption_costs_what_lacks_to_the_margin(margin, cost):
    """Own caption at cosine 1, falsified one at cosine 0."""
    images = torch.tensor([[1.0, 0.0]]).repeat(5, 1)
    falsified = torch.tensor([[0.0, 2.0]]).repeat(5, 1).unsqueeze(1)
    assert Adversary(margin)(images, images * 4, falsified).item() == pytest.approx(cost, abs=1e-6)


def test_the_image_is_the_anchor_of_both_terms():
    """With the caption as the anchor, its own code would have to matter to the one and not to the other."""
    images, texts, variants = (_codes(seed).requires_grad_() for seed in range(3))
    Rephrase()(images, variants.unsqueeze(1)).backward()
    assert images.grad is not None
    swapped = Adversary()(texts, images, variants.unsqueeze(1))
    assert swapped.item() != pytest.approx(Adversary()(images, texts, variants.unsqueeze(1)).item())


def test_weight_norms_leave_biases_and_layer_normalisation_out():
    head = ScreeningHead(3, 8)
    assert weight_norms(head).item() == pytest.approx(head.backbone["fc"].weight.norm().item())
    encoder = RegionHasher(image_dim=6, bits=8, dim=4, heads=2, inner_dim=8)
    linear = [part.weight.norm().item() for part in encoder.modules() if isinstance(part, nn.Linear)]
    assert len(linear) == 8
    assert weight_norms(encoder).item() == pytest.approx(sum(linear), rel=1e-5)


TEXTS = torch.tensor(
    [
        [1, 4, 10, 20, 2, 0],
        [1, 4, 11, 21, 2, 0],
        [1, 4, 12, 22, 23, 2],
        [1, 4, 10, 21, 2, 0],
        [1, 4, 13, 24, 2, 0],
        [1, 4, 2, 0, 0, 0],
    ]
)


def _exchanged(seed=0, variants=40):
    torch.manual_seed(seed)
    return WordExchange(variants=variants, common=0.5)(TEXTS)


def test_one_word_is_exchanged_for_one_that_the_caption_does_not_hold():
    made = _exchanged()
    assert made.shape == (6, 40, 6)
    for own, variants in zip(TEXTS[:5], made[:5], strict=True):
        changed = variants != own
        assert (changed.sum(dim=1) == 1).all()
        assert not set(variants[changed].tolist()) & set(own.tolist())


def test_markers_and_common_words_neither_leave_nor_come():
    made = _exchanged()
    changed = made != TEXTS.unsqueeze(1)
    assert set(TEXTS.unsqueeze(1).expand_as(made)[changed].tolist()) <= {10, 11, 12, 13, 20, 21, 22, 23, 24}
    assert set(made[changed].tolist()) <= {10, 11, 12, 13, 20, 21, 22, 23, 24}


def test_a_word_is_exchanged_for_one_that_stands_behind_the_same_word():
    made = _exchanged()
    colours = made[:5, :, 2]
    assert set(colours.flatten().tolist()) <= {10, 11, 12, 13}
    assert len(colours[0].unique()) > 2


def test_a_caption_without_telling_words_comes_back_as_it_is():
    assert (_exchanged()[5] == TEXTS[5]).all()


def test_the_exchange_follows_the_seed():
    assert torch.equal(_exchanged(seed=1), _exchanged(seed=1))
    assert not torch.equal(_exchanged(seed=1), _exchanged(seed=2))
