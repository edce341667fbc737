"""The losses of a hash head: proxies, contrast, screening."""

import math

import pytest
import torch
from torch.nn import functional as F

from fico.errors import DataError
from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking
from fico.losses.hashing.hash_loss import hash_loss
from fico.losses.hashing.proxy_hashing import ProxyHashing, separating_cosine
from fico.losses.hashing.screening import Screening
from fico.losses.hashing.unsupervised_hashing import UnsupervisedHashing
from fico.types import PairBatch

PAIRS, BITS, CLASSES = 6, 8, 4


def _codes(seed=0):
    return torch.randn(2, PAIRS, BITS, generator=torch.Generator().manual_seed(seed)).tanh()


def _batch(labels=None, image_ids=None):
    rows = torch.arange(PAIRS)
    return PairBatch(torch.zeros(PAIRS, 1), rows if image_ids is None else image_ids, rows[:, None], rows, None, labels)


def _labels():
    return torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]).bool()


def test_the_proxy_loss_is_the_mean_over_every_entry_in_loops():
    loss, labels, (images, texts) = ProxyHashing(CLASSES, BITS, threshold=0.1, alpha=0.8), _labels(), _codes()
    expected = 0.0
    for codes in (images, texts):
        own, other = [], []
        for i in range(PAIRS):
            for k in range(CLASSES):
                cosine = float(F.cosine_similarity(codes[i], loss.proxies[k].detach(), dim=0))
                (own if labels[i, k] else other).append(1 - cosine if labels[i, k] else max(0.0, cosine - 0.1))
        expected += sum(own) / len(own) + sum(other) / len(other)
    several = [i for i in range(PAIRS) if labels[i].sum() > 1]
    apart = [(i, j) for i in several for j in several if not (labels[i] & labels[j]).any()]
    assert apart, "the labels of the test have irrelevant pairs"
    for a, b in ((images, images), (texts, texts), (images, texts)):
        costs = [max(0.0, float(F.cosine_similarity(a[i], b[j], dim=0)) - 0.1) for i, j in apart]
        expected += 0.8 * sum(costs) / len(costs)
    assert float(sum(loss(images, texts, _batch(labels)).values())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("labels", [torch.ones(PAIRS, CLASSES), torch.zeros(PAIRS, CLASSES)])
def test_a_batch_without_a_kind_of_entry_has_a_finite_proxy_loss(labels):
    terms = ProxyHashing(CLASSES, BITS, threshold=0.1)(*_codes(), _batch(labels.bool()))
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize(("bits", "classes"), [(16, 24), (64, 80), (128, 80), (8, 4)])
def test_so_many_codewords_lie_within_the_separating_cosine(bits, classes):
    """The bound is constructive: a codeword outside of every ball of the others exists while the balls do not cover."""
    distance = round((1 - separating_cosine(bits, classes)) * bits / 2)
    assert classes * sum(math.comb(bits, i) for i in range(distance)) <= 2**bits
    assert classes * sum(math.comb(bits, i) for i in range(distance + 1)) > 2**bits


def test_the_unsupervised_loss_weighs_contrast_and_ranking_of_unit_codes_and_warms_up_for_one_epoch():
    images, texts = _codes()
    loss = UnsupervisedHashing(ContrastiveHashing(PAIRS, BITS, negatives=9), CrossModalRanking(), alpha=0.7)
    again = ContrastiveHashing(PAIRS, BITS, negatives=9)
    for warmup in (True, False):
        first, second = F.normalize(images), F.normalize(texts)
        contrast = again(first, second, torch.arange(PAIRS), warmup=warmup)
        ranking = CrossModalRanking()(first, second)
        expected = 0.7 * (contrast.image + contrast.text) + 0.3 * (ranking.i2t + ranking.t2i)
        torch.testing.assert_close(sum(loss(images, texts, _batch()).values()), expected)


def test_the_screening_loss_counts_the_hardest_items_of_other_images_alone():
    images, texts = _codes()
    image_ids = torch.tensor([0, 0, 1, 2, 3, 4])
    scores, expected = images @ texts.T / BITS, 0.0
    for matrix in (scores, scores.T):
        costs = []
        for i in range(PAIRS):
            others = sorted((float(matrix[i, j]) for j in range(PAIRS) if image_ids[i] != image_ids[j]), reverse=True)
            costs += [0.1 * math.log1p(math.exp((other - float(matrix[i, i]) + 0.2) / 0.1)) for other in others[:2]]
        expected += sum(costs) / len(costs)
    loss = Screening(candidates=2, margin=0.2, temperature=0.1)
    terms = loss(images, texts, _batch(image_ids=image_ids))
    assert float(terms["i2t"] + terms["t2i"]) == pytest.approx(expected, rel=1e-5)


def test_the_screening_loss_can_keep_the_nearest_item_by_the_embeddings_instead():
    images, texts = _codes()
    batch = _batch()
    batch.images, batch.texts = _codes(seed=5)
    exact, scores, expected = F.normalize(batch.images) @ F.normalize(batch.texts).T, images @ texts.T / BITS, 0.0
    for matrix, near in ((scores, exact), (scores.T, exact.T)):
        costs = []
        for i in range(PAIRS):
            kept = int(near[i].argmax())
            others = sorted((float(matrix[i, j]) for j in range(PAIRS) if j != kept), reverse=True)
            costs += [0.1 * math.log1p(math.exp((other - float(matrix[i, kept]) + 0.1) / 0.1)) for other in others[:3]]
        expected += sum(costs) / len(costs)
    terms = Screening(keeps_nearest=True, candidates=3)(images, texts, batch)
    assert float(terms["i2t"] + terms["t2i"]) == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_fewer_items_than_candidates_has_a_finite_screening_loss():
    images, texts = (codes.clone().requires_grad_() for codes in _codes())
    loss = sum(Screening(candidates=50)(images, texts, _batch()).values())
    loss.backward()
    assert loss.isfinite()
    assert images.grad.isfinite().all()


def test_the_proxy_loss_without_labels_says_which_loss_needs_none():
    with pytest.raises(DataError, match="this data set has none; use a data set with labels, or model.loss=contrast"):
        hash_loss("proxy", BITS, train_pairs=5, classes=0)
