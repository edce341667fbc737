"""The terms of MITH's loss against loops over their equations."""

import math

import pytest
import torch

from fico.errors import DataError
from fico.losses.hashing.multi_granularity import (
    MultiGranularity,
    Weights,
    binary_targets,
    concept_contrast,
    distillation,
    pairwise_likelihood,
    quantisation,
)
from fico.networks.mith import Granularities
from fico.types import PairBatch

PAIRS, BITS, DIM, ROWS = 4, 6, 5, 9


def _side(seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(2, PAIRS, BITS, generator=generator).tanh()
    vectors, concepts = torch.randn(PAIRS, DIM, generator=generator), torch.randn(PAIRS, BITS, DIM, generator=generator)
    return Granularities(
        codes[0], codes[1], vectors / vectors.norm(dim=1, keepdim=True), concepts / concepts.norm(dim=2, keepdim=True)
    )


def _labels():
    return torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0]]).bool()


def _batch(rows=(5, 2, 7, 0), image_ids=(0, 1, 2, 3), labels="those"):
    return PairBatch(
        torch.zeros(PAIRS, 1),
        torch.tensor(image_ids),
        torch.zeros(PAIRS, 1),
        torch.tensor(rows),
        None,
        _labels() if labels == "those" else labels,
    )


def _cross_entropy(logits, target):
    return math.log(sum(math.exp(value) for value in logits)) - logits[target]


def _likelihood(codes, memory, similar):
    costs = []
    for i in range(len(codes)):
        for j in range(len(memory)):
            s = 0.5 * max(
                -64.0, min(64.0, sum(a * b for a, b in zip(codes[i].tolist(), memory[j].tolist(), strict=True)))
            )
            costs.append(math.log1p(math.exp(s)) - float(similar[i][j]) * s)
    return sum(costs) / len(costs)


def test_the_likelihood_is_its_mean_over_all_pairs_in_loops():
    codes, memory = _side(0).global_codes, torch.randn(ROWS, BITS, generator=torch.Generator().manual_seed(3))
    similar = torch.rand(PAIRS, ROWS, generator=torch.Generator().manual_seed(4)) > 0.5
    found = pairwise_likelihood(codes, memory, similar)
    assert float(found) == pytest.approx(_likelihood(codes, memory, similar), rel=1e-5)


def test_products_beyond_64_are_clamped_in_the_likelihood():
    codes = torch.ones(1, 128)
    found = pairwise_likelihood(codes, -torch.ones(1, 128), torch.ones(1, 1, dtype=torch.bool))
    assert float(found) == pytest.approx(32)


def test_the_contrast_of_concepts_is_within_each_pair_in_loops():
    images, texts, costs = _side(0).concepts, _side(1).concepts, []
    for pair in range(PAIRS):
        for bit in range(BITS):
            costs.append(_cross_entropy((texts[pair] @ images[pair, bit] / 0.07).tolist(), bit))
            costs.append(_cross_entropy((images[pair] @ texts[pair, bit] / 0.07).tolist(), bit))
    assert float(concept_contrast(images, texts)) == pytest.approx(sum(costs) / len(costs), rel=1e-5)


def test_quantisation_and_distillation_in_loops():
    side, binary, squares, student = _side(0), torch.ones(PAIRS, BITS), 0.0, 0.0
    for pair in range(PAIRS):
        for bit in range(BITS):
            whole, local = float(side.global_codes[pair, bit]), float(side.local_codes[pair, bit])
            squares += (0.5 * whole + 0.5 * local - 1) ** 2
            student += (whole - local) ** 2
    assert float(quantisation(side, binary)) == pytest.approx(squares / (PAIRS * BITS), rel=1e-5)
    assert float(distillation(side)) == pytest.approx(1.1 * student / PAIRS, rel=1e-5)


def test_the_teacher_gets_a_tenth_of_the_student_s_gradient():
    side = _side(0)
    for codes in (side.global_codes, side.local_codes):
        codes.requires_grad_()
    distillation(side).backward()
    torch.testing.assert_close(side.global_codes.grad, -0.1 * side.local_codes.grad)


def test_the_binary_targets_are_common_to_both_sides_and_mostly_the_global_codes():
    images, texts = _side(0), _side(1)
    assert torch.equal(binary_targets(images, texts, 1.0), (images.global_codes + texts.global_codes).sign())
    assert torch.equal(binary_targets(images, texts, 0.0), (images.local_codes + texts.local_codes).sign())


def test_the_loss_is_the_weighted_sum_of_its_terms_over_the_memory_of_two_batches():
    loss = MultiGranularity(ROWS, 3, BITS, Weights())
    earlier, images, texts = _side(7), _side(0), _side(1)
    loss(earlier, earlier, _batch(rows=(1, 3, 2, 8)))  # row 2 is replaced by the second batch
    terms = loss(images, texts, _batch())
    rows, labels = {1: 0, 3: 1, 8: 3}, _labels()
    similar = [[bool((labels[i] & labels[j]).any()) for j in [*rows.values(), 0, 1, 2, 3]] for i in range(PAIRS)]

    def memory(name, side):
        return torch.cat([getattr(earlier, name)[list(rows.values())], getattr(side, name)])

    intra = sum(_likelihood(side.local_codes, memory("local_codes", side), similar) for side in (images, texts))
    inter = _likelihood(texts.global_codes, memory("global_codes", images), similar)
    inter += _likelihood(images.global_codes, memory("global_codes", texts), similar)
    binary = binary_targets(images, texts, 0.99)
    logits, costs = (images.vectors @ texts.vectors.T / 0.07), []
    for pair in range(PAIRS):
        costs += [_cross_entropy(logits[pair].tolist(), pair), _cross_entropy(logits[:, pair].tolist(), pair)]
    contrast = sum(costs) / len(costs) + 0.01 * float(concept_contrast(images.concepts, texts.concepts))
    expected = {
        "intra": intra,
        "inter": 10 * inter,
        "quantisation": 8 * float(quantisation(images, binary) + quantisation(texts, binary)),
        "contrast": 50 * contrast,
        "distillation": float(distillation(images) + distillation(texts)),
    }
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_captions_of_one_image_are_no_negatives_of_each_other():
    images, loss = _side(0), MultiGranularity(ROWS, 3, BITS, Weights(concepts=0.0))
    again = Granularities(
        *(getattr(images, name)[[0, 0, 1, 2]] for name in ("global_codes", "local_codes", "vectors", "concepts"))
    )
    apart = loss(again, again, _batch(image_ids=(0, 1, 2, 3)))["contrast"]
    together = loss(again, again, _batch(image_ids=(0, 0, 2, 3)))["contrast"]
    torch.testing.assert_close(together, apart)  # a uniform target over two equal columns costs as one of them
    assert float(loss(images, images, _batch(image_ids=(0, 0, 2, 3)))["contrast"]) != pytest.approx(
        float(loss(images, images, _batch())["contrast"])
    )


def test_without_labels_one_sentence_says_what_to_take():
    with pytest.raises(DataError, match="this data set has none; use a data set with labels, or model=ucch"):
        MultiGranularity(ROWS, 0, BITS)
    with pytest.raises(DataError, match="needs the labels of every pair"):
        MultiGranularity(ROWS, 3, BITS)(_side(0), _side(1), _batch(labels=None))
