"""Metric objects: any of them has its numbers on both engines, equal to a slow second version."""

import doctest
import pickle
from dataclasses import dataclass
from importlib import import_module
from inspect import isclass
from itertools import chain, permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch

import fico
from fico.errors import UsageError
from fico.evaluation.evaluate import merge_results
from fico.metrics.compose import build_metrics
from fico.metrics.defaults import default_metrics
from fico.metrics.metric import PerQueryMetric
from fico.metrics.ndcg import NDCG, ndcg_at_k
from fico.metrics.precision_recall import Precision
from fico.metrics.rank import MedR
from fico.metrics.recall import Recall, recall_at_k
from fico.metrics.recall_sum import RecallSum
from fico.metrics.ties import rank_blocks

FILES = sorted(Path(fico.__file__).parent.glob("metrics/*.py"))
PAIRS = fico.Correspondence([0, 0, 1, 2, 2, 2, 3])
LABELS = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=bool)


@dataclass(frozen=True, slots=True)
class FirstIsRelevant(PerQueryMetric):
    """A metric as somebody outside would write it; as slow as it is plain."""

    task: str = "category"
    higher_is_better = False
    name = "Top"

    @property
    def depth(self):
        return 1

    def per_query(self, ranking):
        above, others, hits = ranking.first()
        return torch.where(above == 0, hits.double() / (others + hits).clamp(min=1), 0)

    def definition(self):
        return "fraction of queries whose first item is relevant"


def tied_scores(seed):
    return np.random.default_rng(seed).integers(0, 3, (4, 7)).astype(np.float32)


def every_order(scores, relevant, value, ties):
    """Value of one query: the mean over the orders of tied items, or of the one order that the rule allows."""
    if ties == "index":
        return value(relevant[np.argsort(-scores, kind="stable")])
    if ties != "expected":
        first = relevant if ties == "optimistic" else ~relevant
        return value(relevant[np.lexsort((~first, -scores))])
    groups = [permutations(np.flatnonzero(scores == level)) for level in np.unique(scores)[::-1]]
    return float(np.mean([value(relevant[list(chain(*order))]) for order in product(*groups)]))


SLOW = {  # from the relevance along one ranking
    "category/P@2": lambda hits: hits[:2].mean(),
    "category/Top": lambda hits: hits[0],
    "instance/nDCG@3": lambda hits: (
        (hits[:3] / np.log2(np.arange(2, 2 + len(hits[:3])))).sum()
        / (1 / np.log2(np.arange(2, 2 + min(3, hits.sum())))).sum()
    ),
    "instance/R@2": lambda hits: hits[:2].sum() / hits.sum(),
}
ADDED = (Recall(1), Recall(2, "fraction"), NDCG(3, "instance"), Precision(2), FirstIsRelevant())


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "index"])
def test_any_listed_metric_equals_a_slow_second_version_with_its_bounds(ties, engine):
    scores = tied_scores(0)
    result = fico.evaluate_scores(
        i2t=scores, t2i=scores.T.copy(), correspondence=PAIRS, labels=LABELS, metrics=ADDED, ties=ties, engine=engine,
        bootstrap=20,
    )  # fmt: skip
    owners = PAIRS.caption_to_image
    relevance = {"instance": owners == np.arange(4)[:, None], "category": (LABELS @ LABELS[owners].T) > 0}
    for key, value in SLOW.items():
        task, name = key.split("/")
        for way, rows in (("i2t", scores), ("t2i", scores.T)):
            hits = relevance[task] if way == "i2t" else relevance[task].T
            for rule, got in (
                (ties, result.metrics[f"{task}/{way}/{name}"]),
                ("pessimistic", result.tie_bounds[f"{task}/{way}/{name}"][0]),
                ("optimistic", result.tie_bounds[f"{task}/{way}/{name}"][1]),
            ):
                wanted = [every_order(*query, value, rule) for query in zip(rows, hits, strict=True)]
                assert got == pytest.approx(np.mean(wanted), abs=1e-12), (key, way, rule)


@pytest.mark.parametrize("metric", [*default_metrics(), *ADDED], ids=lambda metric: f"{metric.task}-{metric.name}")
def test_a_metric_object_is_a_value_that_travels_between_processes(metric):
    assert pickle.loads(pickle.dumps(metric)) == metric
    assert hash(pickle.loads(pickle.dumps(metric))) == hash(metric)
    assert metric.definition()
    assert metric.task in ("instance", "category")


def test_the_level_of_chance_is_the_mean_over_random_galleries():
    generator = torch.Generator().manual_seed(0)
    for metric in (Precision(2), NDCG(3), Recall(2), Recall(2, "fraction"), MedR()):
        scores = torch.rand(4000, 9, generator=generator)
        relevant = torch.zeros(4000, 9, dtype=torch.bool)
        relevant[:2000, 0], relevant[2000:, :3] = True, True
        values = metric.per_query(rank_blocks(scores, relevant))
        wanted = values.median() if metric.summary == "median" else values.mean()
        assert metric.chance(np.array([1, 3]), np.array([2000, 2000]), 9) == pytest.approx(float(wanted), abs=0.03)


def test_a_list_is_the_whole_list_and_its_order_that_of_the_result():
    scores = tied_scores(1)
    result = fico.evaluate_scores(
        i2t=scores, t2i=None, correspondence=PAIRS, metrics=[Precision(3, task="instance"), Recall(5)], bootstrap=0
    )
    assert [key for key in result.metrics if "chance" not in key] == ["instance/i2t/P@3", "instance/i2t/R@5"]
    assert set(result.per_query["i2t"].values) == {"instance/P@3", "instance/R@5"}
    assert len(result.per_query["i2t"].ranks) == 4  # always there


def test_folds_shards_and_blocks_give_what_the_whole_gives():
    scores = np.random.default_rng(3).integers(0, 9, (12, 24)).astype(np.float32)
    pairs, labels = fico.Correspondence(np.arange(24) // 2), np.eye(12, dtype=bool)[:, :3]
    labels[3:] = labels[:9]
    given = {
        "i2t": scores, "t2i": scores.T.copy(), "correspondence": pairs, "labels": labels, "bootstrap": 10,
        "metrics": [*default_metrics(), *ADDED[2:]],
    }  # fmt: skip
    whole = fico.evaluate_scores(**given)
    blocks = fico.evaluate_scores(**given, block=5)
    shards = merge_results([fico.evaluate_scores(**given, block=4, shard=(rank, 2)) for rank in (0, 1)])
    assert whole.metrics == blocks.metrics == shards.metrics
    assert whole.intervals == blocks.intervals == shards.intervals
    folds = fico.evaluate_scores(**given, folds=2)
    parts = [
        fico.evaluate_scores(
            i2t=scores[6 * n : 6 * n + 6, 12 * n : 12 * n + 12], t2i=None, labels=labels[6 * n : 6 * n + 6],
            correspondence=fico.Correspondence(np.arange(12) // 2), metrics=given["metrics"], bootstrap=0,
        )
        for n in (0, 1)
    ]  # fmt: skip
    key = "category/i2t/P@2"
    assert folds.metrics[key] == pytest.approx(np.mean([part.metrics[key] for part in parts]))


def test_behind_the_candidates_of_a_re_ranking_a_deeper_metric_is_left_out():
    scores = np.full((4, 7), -100, dtype=np.float32)
    scores[:, :2] = tied_scores(2)[:, :2]
    given = {"i2t": scores, "t2i": None, "correspondence": PAIRS, "labels": LABELS, "bootstrap": 0}
    result = fico.evaluate_scores(**given, metrics=[Precision(2), Precision(3), FirstIsRelevant()])
    assert [key for key in result.metrics if "chance" not in key] == ["category/i2t/P@2", "category/i2t/Top"]
    assert any("P@3 not applicable" in note for note in result.notes)


def test_codes_have_any_metric_too_and_both_engines_agree():
    generator = np.random.default_rng(4)
    images, texts = generator.integers(0, 2, (30, 70)), generator.integers(0, 2, (60, 70))
    texts[:, 3:] = images.repeat(2, axis=0)[:, 3:]
    given = {"labels": generator.random((30, 4)) < 0.4, "similarity": "hamming", "metrics": ADDED, "bootstrap": 5}
    pairs = fico.Correspondence(np.arange(60) // 2)
    for ties in ("expected", "index"):
        one, other = (
            fico.evaluate(images, texts, pairs, **given, ties=ties, engine=engine) for engine in ("compiled", "torch")
        )
        assert one.metrics == pytest.approx(other.metrics, abs=1e-12)
        assert one.tie_bounds.keys() == other.tie_bounds.keys()
        assert not one.curves  # no RadiusCurves in that list
    assert fico.evaluate(images, texts, pairs, **{**given, "metrics": None}).curves


class TestSumOfRecalls:
    given = {"i2t": tied_scores(5), "t2i": tied_scores(6).T.copy(), "correspondence": PAIRS, "bootstrap": 50}

    def test_it_adds_both_directions_with_bounds_and_chance(self):
        result = fico.evaluate_scores(**self.given)
        for key in ("", "chance/"):
            parts = [result.metrics[f"instance/{way}/{key}R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10)]
            assert result.metrics[f"instance/{key}RSUM"] == pytest.approx(sum(parts))
        for side in (0, 1):
            names = [f"instance/{way}/R@{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)]
            parts = [result.tie_bounds.get(name, (result.metrics[name],) * 2)[side] for name in names]
            assert result.tie_bounds["instance/RSUM"][side] == pytest.approx(sum(parts))
        low, high = result.intervals["instance/RSUM"]
        assert low <= result.metrics["instance/RSUM"] <= high
        assert result.queries["instance/RSUM"] == 11
        assert "RSUM" in str(result)

    def test_its_interval_comes_from_the_resamples_that_both_directions_share(self):
        """Two directions with the same values per image: the sum's interval is twice that of one direction."""
        square, pairs = np.random.default_rng(7).random((20, 20)), fico.Correspondence(np.arange(20))
        square = (square + square.T).astype(np.float32)
        result = fico.evaluate_scores(
            i2t=square, t2i=square, correspondence=pairs, metrics=[Recall(5), RecallSum((5,))]
        )
        wanted = tuple(2 * end for end in result.intervals["instance/i2t/R@5"])
        assert result.intervals["instance/RSUM"] == pytest.approx(wanted)

    def test_without_its_parts_it_is_left_out_with_a_sentence_if_it_was_listed(self):
        result = fico.evaluate_scores(**self.given, metrics=[Recall(1), RecallSum()])
        assert "instance/RSUM" not in result.metrics
        assert result.notes[-1] == "instance RSUM is left out: it needs R@5, R@10 of each direction"
        assert not any("RSUM" in note for note in fico.evaluate_scores(**self.given, recall_at=(1, 3)).notes)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (
            {"_target_": "fico.metrics.recall.Recall", "k": 0},
            "x cannot be built: k must be a whole number from 1, got 0",
        ),
        ({"_target_": "fico.metrics.recall.Recall", "k": 1, "q": 1}, "x cannot be built: .*'q'"),
        ({"_target_": "fico.metrics.recall.Recal"}, "x._target_ 'fico.metrics.recall.Recal' cannot be imported"),
        ({"_target_": "os.getcwd"}, "x._target_ 'os.getcwd' is no class of metrics"),
        ({"k": 1}, "x is .*, but must be _target_: CLASS"),
        ({"_target_": "fico.metrics.recall.Recall", "k": [3, 3]}, "x is a second instance metric R@3"),
        ({"_target_": "fico.metrics.recall_sum.RecallSum", "cuts": []}, "x cannot be built: cuts is empty"),
    ],
)
def test_a_node_that_is_no_metric_is_named_with_what_to_do(node, sentence):
    with pytest.raises(UsageError, match=sentence):
        build_metrics({"x": node}, "")


def test_a_list_makes_a_metric_for_each_value_and_null_none():
    nodes = {
        "a": {"_target_": "fico.metrics.ndcg.NDCG", "k": [5, 7], "task": ["instance", "category"]},
        "b": {"_target_": "fico.metrics.recall_sum.RecallSum", "cuts": [1, 2]},
        "c": None,
    }
    wanted = [NDCG(5, "instance"), NDCG(5, "category"), NDCG(7, "instance"), NDCG(7, "category"), RecallSum((1, 2))]
    assert list(build_metrics(nodes)) == wanted


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(UsageError, match="has two of instance R@1"):
        fico.evaluate_scores(
            i2t=tied_scores(0), t2i=None, correspondence=PAIRS, metrics=[Recall(1), Recall(1, "fraction")]
        )


def test_cut_offs_of_another_kind_are_computed_apart():
    scores = tied_scores(8)
    metrics = [Recall(1), Recall(2, "fraction"), NDCG(3, "instance")]
    result = fico.evaluate_scores(i2t=scores, t2i=None, correspondence=PAIRS, metrics=metrics, bootstrap=0)
    tensor = torch.from_numpy(scores)
    relevant = torch.from_numpy(PAIRS.caption_to_image == np.arange(4)[:, None])
    assert result.metrics["instance/i2t/R@2"] == pytest.approx(
        float(recall_at_k(tensor, relevant, 2, recall="fraction").mean())
    )
    assert result.metrics["instance/i2t/nDCG@3"] == pytest.approx(float(ndcg_at_k(tensor, relevant, 3).mean()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_examples_in_the_docstrings_are_true(path):
    module = import_module(f"fico.metrics.{path.stem}" if path.stem != "__init__" else "fico.metrics")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_metric_has_an_example_of_its_torchmetrics_object(path):
    module = import_module(f"fico.metrics.{path.stem}" if path.stem != "__init__" else "fico.metrics")
    for kind in vars(module).values():
        if (
            isclass(kind)
            and issubclass(kind, PerQueryMetric)
            and kind.__module__ == module.__name__
            and "name" in vars(kind)
        ):
            assert ".torchmetric(" in (kind.__doc__ or ""), kind


def test_the_torchmetrics_object_reports_what_the_metric_makes_of_the_summary():
    @dataclass(frozen=True, slots=True)
    class Doubled(FirstIsRelevant):
        def finish(self, summaries):
            return 2 * summaries

    metric = Doubled().torchmetric()
    metric.update(torch.tensor([[0.9, 0.1]] * 2), torch.tensor([[True, False], [False, True]]))
    assert float(metric.compute()) == 1.0
    assert not metric.higher_is_better


@pytest.mark.parametrize(("task", "wanted"), [("instance", 1.0), ("category", 0.5)])
def test_queries_without_relevant_items_count_as_in_results(task, wanted):
    metric = Recall(1, task=task).torchmetric()
    metric.update(torch.tensor([[0.9, 0.1]] * 2), torch.tensor([[True, False], [False, False]]))
    assert float(metric.compute()) == wanted
