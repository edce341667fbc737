"""PMRP against a loop over label sets and every order of tied items, on both engines."""

from functools import cache
from itertools import chain, permutations, product

import numpy as np
import pytest
import torch

from fico import Correspondence, evaluate, evaluate_scores
from fico.evaluation.evaluate import merge_results
from fico.metrics.compose import build_metrics
from fico.metrics.defaults import default_metrics
from fico.metrics.plausible_match import PMRP, plausible_match_r_precision

ENGINES = ("compiled", "torch")
TIES = ("expected", "optimistic", "pessimistic", "index")
OWN = np.array([0, 0, 1, 2, 3, 3, 4])
METRICS = (*default_metrics(), PMRP())


def problem(seed):
    """Scores of three values, and labels of which those of image 2 are empty."""
    rng = np.random.default_rng(seed)
    labels = rng.random((5, 4)) < 0.5
    labels[[0, 1, 3, 4], 0], labels[2] = True, False
    return rng.integers(0, 3, (5, 7)).astype(np.float32), labels


def slow(row, query, item_images, labels, ties):
    """Of one query: the mean over zeta of its R-Precision over all orders, or in the one that the rule allows."""
    classes = [set(np.flatnonzero(each)) for each in labels]
    items = [item for item, image in enumerate(item_images) if classes[image]]
    values = []
    for zeta in (0, 1, 2):
        near = {item for item in items if len(classes[query] ^ classes[item_images[item]]) <= zeta}
        hits = near if classes[query] else set()
        orders = list(orders_of(items, row, hits, ties))
        found = [sum(item in hits for item in order[: len(hits)]) for order in orders]
        values.append(np.mean(found) / len(hits) if hits else 0.0)
    return np.mean(values)


def orders_of(items, row, hits, ties):
    if ties in ("expected", "chance"):
        levels = [0 if ties == "chance" else -row[item] for item in items]
        groups = [permutations(np.array(items)[levels == level].tolist()) for level in np.unique(levels)]
        yield from (tuple(chain(*parts)) for parts in product(*groups))
        return
    second = {
        "optimistic": [i not in hits for i in range(len(row))],
        "pessimistic": [i in hits for i in range(len(row))],
    }
    yield sorted(items, key=lambda item: (-row[item], second.get(ties, range(len(row)))[item]))


def slow_values(scores, labels, ties):
    """By direction."""
    images = np.arange(len(labels))
    return {
        "i2t": [slow(row, q, OWN, labels, ties) for q, row in enumerate(scores)],
        "t2i": [slow(row, OWN[q], images, labels, ties) for q, row in enumerate(scores.T)],
    }


@cache
def slow_values_of(seed, ties):
    """Of a problem, once for all tests."""
    return slow_values(*problem(seed), ties)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("seed", range(3))
def test_values_bounds_and_chance_equal_a_slow_second_version(seed, ties, engine):
    scores, labels = problem(seed)
    result = evaluate_scores(
        i2t=scores, t2i=scores.T.copy(), correspondence=Correspondence(OWN), labels=labels, metrics=METRICS, ties=ties,
        engine=engine, bootstrap=20,
    )  # fmt: skip
    rules = {rule: slow_values_of(seed, rule) for rule in (ties, "pessimistic", "optimistic", "chance")}
    for way in ("i2t", "t2i"):
        key = f"category/{way}/PMRP"
        got = result.per_query[way].values["category/PMRP"]
        np.testing.assert_allclose(got, rules[ties][way], atol=1e-12)
        assert result.metrics[key] == pytest.approx(np.mean(rules[ties][way]))
        bounds = [np.mean(rules[rule][way]) for rule in ("pessimistic", "optimistic")]
        assert result.tie_bounds[key] == pytest.approx(bounds)
        assert result.metrics[f"category/{way}/chance/PMRP"] == pytest.approx(np.mean(rules["chance"][way]))
        assert not any("chance" in name for name in result.per_query[way].values)
        assert result.intervals[key][0] <= result.metrics[key] <= result.intervals[key][1]


@pytest.mark.parametrize("engine", ENGINES)
def test_unlabelled_queries_are_left_out_as_the_authors_do_where_empty_is_skip(engine):
    scores, labels = problem(1)
    result = evaluate_scores(
        i2t=scores, t2i=None, correspondence=Correspondence(OWN), labels=labels, metrics=METRICS, empty="skip",
        engine=engine, bootstrap=0,
    )  # fmt: skip
    wanted = np.delete(slow_values_of(1, "expected")["i2t"], 2)
    assert result.metrics["category/i2t/PMRP"] == pytest.approx(np.mean(wanted))
    assert result.queries["category/i2t/PMRP"] == 4


def rows(seed, images=40):
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(images), 3)
    labels = rng.random((images, 9)) < 0.2
    vectors = rng.normal(size=(images, 6)) + 2 * labels[:, :6]
    return vectors, vectors[own] + rng.normal(size=(len(own), 6)), Correspondence(own), labels


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "hamming"])
def test_both_engines_any_block_and_any_shards_agree(similarity):
    images, texts, pairs, labels = rows(2, 20)
    if similarity == "hamming":
        images, texts = (np.where(side > 0, 1, -1) for side in (images, texts))

    def found(**options):
        return evaluate(images, texts, pairs, labels=labels, similarity=similarity, metrics=METRICS, bootstrap=5,
                        **options)  # fmt: skip

    whole = found()
    assert whole.metrics["category/i2t/PMRP"] > whole.metrics["category/i2t/chance/PMRP"]
    others = [found(engine="torch"), found(block=7), merge_results([found(shard=(n, 3), block=16) for n in range(3)])]
    for other in others:
        assert other.metrics == pytest.approx(whole.metrics, abs=1e-9)
    assert others[-1].tie_bounds.keys() == whole.tie_bounds.keys()


def test_folds_are_galleries_of_their_own():
    images, texts, pairs, labels = rows(3)
    folded = evaluate(images, texts, pairs, labels=labels, metrics=METRICS, folds=2, bootstrap=0)
    halves = [
        evaluate(images[a:b], texts[3 * a : 3 * b], Correspondence(np.repeat(np.arange(20), 3)), labels=labels[a:b],
                 metrics=METRICS, bootstrap=0)
        for a, b in ((0, 20), (20, 40))
    ]  # fmt: skip
    for key in ("category/i2t/PMRP", "category/t2i/PMRP", "category/t2i/chance/PMRP"):
        assert folded.metrics[key] == pytest.approx(np.mean([half.metrics[key] for half in halves]))


def test_a_re_ranking_leaves_it_out_and_labels_it_needs():
    scores, labels = problem(0)
    filled = np.where(np.argsort(np.argsort(-scores, axis=1)) < 3, scores, -100)
    options = {"t2i": None, "correspondence": Correspondence(OWN), "metrics": METRICS, "bootstrap": 0}
    reranked = evaluate_scores(i2t=filled, labels=labels, **options)
    assert "category/i2t/PMRP" not in reranked.metrics
    assert any("PMRP" in note for note in reranked.notes)
    unlabelled = evaluate_scores(i2t=scores, **options)
    assert not any("PMRP" in key for key in unlabelled.metrics)
    assert "category PMRP is left out: it needs labels" in unlabelled.notes


def test_no_labels_at_all_in_the_given_matrix_give_zero():
    scores, labels = problem(0)
    for engine in ENGINES:
        result = evaluate_scores(
            i2t=scores, t2i=None, correspondence=Correspondence(OWN), labels=np.zeros_like(labels), metrics=METRICS,
            engine=engine, bootstrap=0,
        )  # fmt: skip
        assert result.metrics["category/i2t/PMRP"] == 0


@pytest.mark.parametrize("ties", TIES)
def test_the_pure_function_and_the_torchmetrics_object_agree_with_the_slow_version(ties):
    scores, labels = problem(4)
    labels[2, 3] = True
    distances = torch.from_numpy((labels[:, None] ^ labels[OWN]).sum(axis=2))
    values = plausible_match_r_precision(torch.from_numpy(scores), distances, ties=ties)
    np.testing.assert_allclose(values, slow_values(scores, labels, ties)["i2t"], atol=1e-12)
    metric = PMRP().torchmetric(ties)
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(torch.from_numpy(scores[part]), distances[part])
    assert float(metric.compute()) == pytest.approx(float(values.mean()))


@pytest.mark.parametrize("zetas", [(), (-1,), (1, 1)])
def test_impossible_distances_are_refused(zetas):
    with pytest.raises(ValueError, match="zetas must be different whole numbers from 0"):
        PMRP(zetas)


def test_a_config_gives_the_distances_as_one_list():
    node = {"_target_": "fico.metrics.plausible_match.PMRP", "zetas": [0, 3]}
    assert build_metrics({"any": node}) == (PMRP((0, 3)),)
