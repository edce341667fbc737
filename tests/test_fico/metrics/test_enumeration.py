"""Every closed form against the plain mean over all orders of the tied items, in tensors and in the kernels."""

import math
from itertools import permutations, product

import numpy as np
import pytest
import torch

from fico.metrics.average_precision import average_precision
from fico.metrics.kernels import blocks, hits
from fico.metrics.kernels.average_precision import DENOMINATORS
from fico.metrics.kernels.orders import EXPECTED
from fico.metrics.ndcg import ndcg_at_k
from fico.metrics.precision_recall import interpolated_precision, precision_at_k, precision_recall_of_counts
from fico.metrics.rank import first_hit_ranks, reciprocal_ranks
from fico.metrics.recall import recall_at_k

CUTS = (1, 2, 3, 5, 7)
CASES = [
    ([1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 1, 0]),
    ([3, 2, 2, 2, 1, 1], [0, 1, 0, 1, 0, 1]),
    ([2, 2, 2, 1, 1, 1], [1, 1, 0, 1, 0, 0]),
    ([5, 4, 3, 2, 1, 0], [0, 1, 0, 0, 1, 1]),
    ([1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]),
    ([1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 1, 0]),
    ([2, 2, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]),
    ([-2.5, -7.0, -2.5, -7.0, -2.5, -2.5], [1, 0, 0, 1, 0, 0]),
]


def orders(scores, relevant):
    """Relevance down the ranking, once for every order of the tied items."""
    groups = [[r for s, r in zip(scores, relevant, strict=True) if s == level] for level in sorted(set(scores))[::-1]]
    for parts in product(*(list(permutations(group)) for group in groups)):
        yield [r for part in parts for r in part]


def mean_over_orders(scores, relevant, measure):
    return float(np.mean([measure(ranking) for ranking in orders(scores, relevant)]))


def ap(ranking, k, denominator):
    hits, total = 0, 0.0
    for rank, relevant in enumerate(ranking[:k], start=1):
        hits += relevant
        total += relevant * hits / rank
    below = {"hits": hits, "min_k_r": min(k, sum(ranking)), "r": sum(ranking)}[denominator]
    return total / below if below else 0.0


def ndcg(ranking, k):
    gain = sum(r / math.log2(rank + 1) for rank, r in enumerate(ranking[:k], start=1))
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(k, sum(ranking)) + 1))


def tensors(scores, relevant):
    return torch.tensor([scores], dtype=torch.float64), torch.tensor([relevant]).bool()


def kernel_category(scores, relevant, denominator):
    """Values in the expected order by the kernel of codes, to which those by the kernel of floats are equal."""
    scores, relevant, items = np.array(scores), np.array(relevant), len(scores)
    cuts = np.array([*(min(k, items) for k in CUTS), items], dtype=np.int64)
    found = np.zeros((2, 3, 1, len(cuts) + 13))[..., :-1]  # a part of an array, as the kernels' callers give it
    is_mixed = np.zeros((2, 1), dtype=bool)
    given = (cuts, DENOMINATORS[denominator], blocks.tables(items))
    levels = np.unique(scores)[::-1]
    counts = np.array([[(scores == level).sum() for level in levels]])
    own = np.array([[relevant[scores == level].sum() for level in levels]])
    curves = np.zeros((2, len(levels)))
    blocks.category_of_counts(counts, own, *given, found[0], is_mixed[0], curves, np.zeros((4, len(levels)), np.int64))
    wanted = precision_recall_of_counts(torch.from_numpy(counts), torch.from_numpy(own))
    np.testing.assert_array_equal(curves, torch.cat(wanted).numpy())
    keys = np.sort(np.searchsorted(levels[::-1], scores) * 2 + relevant).astype(np.int32)[None]
    memory = (np.zeros(items + 1, np.int64), np.zeros((4, items), np.int64), np.zeros((2, items)))
    hits.category_of_keys(keys, own.sum(axis=1), *given, found[1], is_mixed[1], *memory)
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    assert is_mixed[0] == is_mixed[1] == any(0 < hit < count for hit, count in zip(own[0], counts[0], strict=True))
    return found[0, EXPECTED, 0]


@pytest.mark.parametrize("denominator", ["hits", "min_k_r", "r"])
@pytest.mark.parametrize(("scores", "relevant"), CASES)
def test_average_precision_is_the_mean_over_all_orders(scores, relevant, denominator):
    kernel = kernel_category(scores, relevant, denominator)
    for n, k in enumerate(CUTS):
        wanted = mean_over_orders(scores, relevant, lambda ranking, k=k: ap(ranking, k, denominator))
        assert average_precision(*tensors(scores, relevant), k, denominator=denominator).item() == pytest.approx(wanted)
        assert kernel[n] == pytest.approx(wanted)
    assert kernel[len(CUTS)] == pytest.approx(
        mean_over_orders(scores, relevant, lambda ranking: ap(ranking, len(ranking), "r"))
    )


@pytest.mark.parametrize(("scores", "relevant"), CASES)
def test_recall_rank_and_gain_are_means_over_all_orders(scores, relevant):
    pair = tensors(scores, relevant)
    for k in CUTS:
        hit = mean_over_orders(scores, relevant, lambda ranking, k=k: any(ranking[:k]))
        part = mean_over_orders(scores, relevant, lambda ranking, k=k: sum(ranking[:k]) / sum(ranking))
        assert recall_at_k(*pair, k).item() == pytest.approx(hit)
        assert recall_at_k(*pair, k, recall="fraction").item() == pytest.approx(part)
        assert precision_at_k(*pair, k).item() == pytest.approx(part * sum(relevant) / k)
    rank = mean_over_orders(scores, relevant, lambda ranking: 1 + ranking.index(1))
    reciprocal = mean_over_orders(scores, relevant, lambda ranking: 1 / (1 + ranking.index(1)))
    gain = mean_over_orders(scores, relevant, lambda ranking: ndcg(ranking, 10))
    assert first_hit_ranks(*pair).item() == pytest.approx(rank)
    assert reciprocal_ranks(*pair).item() == pytest.approx(reciprocal)
    assert ndcg_at_k(*pair).item() == pytest.approx(gain) == kernel_category(scores, relevant, "r")[-1]
    for k in (2, 4):
        assert ndcg_at_k(*pair, k).item() == pytest.approx(
            mean_over_orders(scores, relevant, lambda ranking, k=k: ndcg(ranking, k))
        )


def mean_ranking(scores, relevant):
    """Precision of the mean ranking: mean hits at the (fractional) rank x, over x, on a fine grid."""
    rank, hits, points = 0.0, 0.0, []
    for level in sorted(set(scores))[::-1]:
        inside = [r for s, r in zip(scores, relevant, strict=True) if s == level]
        for step in np.linspace(0, 1, 2521)[1:]:
            found = hits + step * sum(inside)
            points.append((found, found / (rank + step * len(inside))))
        rank, hits = rank + len(inside), hits + sum(inside)
    return np.array(points)


@pytest.mark.parametrize(("scores", "relevant"), CASES)
def test_interpolated_precision_is_the_highest_of_the_mean_ranking(scores, relevant):
    points, got = mean_ranking(scores, relevant), interpolated_precision(*tensors(scores, relevant))[0].numpy()
    for level in range(11):
        needed = int(level / 10 * sum(relevant) + 0.9)
        wanted = points[points[:, 0] >= needed - 1e-9, 1].max()
        assert got[level] == pytest.approx(wanted, abs=1e-9)
    np.testing.assert_allclose(kernel_category(scores, relevant, "r")[len(CUTS) + 1 : -1], got, atol=1e-12)


def test_interpolated_precision_follows_the_cut_of_trec_eval():
    """Recall 0.3 of 57 relevant items is reached at the 17th: 0.3 * 57 + 0.9 is 17.999... in doubles, not 18."""
    ranking = [1] * 17 + [0] * 100 + [1] * 40
    got = interpolated_precision(torch.arange(len(ranking), 0, -1.0)[None], torch.tensor([ranking]).bool())
    assert got[0, 3] == 1
    ranking = [1] * 16 + [0] * 100 + [1] * 41
    got = interpolated_precision(torch.arange(len(ranking), 0, -1.0)[None], torch.tensor([ranking]).bool())
    assert got[0, 3] < 1


@pytest.mark.parametrize(("scores", "relevant"), CASES)
@pytest.mark.parametrize("ties", ["optimistic", "pessimistic", "index"])
def test_other_rules_score_one_order(scores, relevant, ties):
    tie = {"optimistic": lambda n: -relevant[n], "pessimistic": lambda n: relevant[n], "index": lambda n: n}[ties]
    ranking = [relevant[n] for n in sorted(range(len(scores)), key=lambda n: (-scores[n], tie(n)))]
    pair = tensors(scores, relevant)
    assert first_hit_ranks(*pair, ties=ties).item() == 1 + ranking.index(1)
    assert reciprocal_ranks(*pair, ties=ties).item() == pytest.approx(1 / (1 + ranking.index(1)))
    for k in CUTS:
        assert recall_at_k(*pair, k, ties=ties).item() == any(ranking[:k])
        assert average_precision(*pair, k, ties=ties).item() == pytest.approx(ap(ranking, k, "hits"))
        assert average_precision(*pair, k, ties=ties, denominator="min_k_r").item() == pytest.approx(
            ap(ranking, k, "min_k_r")
        )


def test_over_found_holds_for_blocks_of_thousands():
    """One tied block of 5,000 with 1,800 relevant, cut at 5: against 20,000 random orders."""
    relevant = np.arange(5000) < 1800
    got = kernel_category(np.zeros(5000), relevant.astype(int).tolist(), "hits")[3]
    generator = np.random.default_rng(0)
    firsts = generator.choice(5000, size=(20_000, 5))  # drawn with replacement: a repeat in five is rare
    drawn = [ap(ranking, 5, "hits") for ranking in relevant[firsts].astype(int).tolist()]
    assert got == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / math.sqrt(20_000))
