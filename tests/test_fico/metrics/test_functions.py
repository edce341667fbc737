"""Laws of the pure metric functions and of the torchmetrics objects of their metrics."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fico.errors import DataError
from fico.metrics.average_precision import AveragePrecision, average_precision
from fico.metrics.ndcg import NDCG, ndcg_at_k
from fico.metrics.precision_recall import (
    InterpolatedPrecision,
    Precision,
    interpolated_precision,
    precision_at_k,
    precision_recall_within_radius,
)
from fico.metrics.rank import MRR, MeanR, MedR, first_hit_ranks, median_rank, reciprocal_ranks
from fico.metrics.recall import Recall, recall_at_k
from tests.processes import in_two_processes

PER_QUERY = {
    "recall": lambda s, r: recall_at_k(s, r, 5),
    "fraction": lambda s, r: recall_at_k(s, r, 5, recall="fraction"),
    "rank": first_hit_ranks,
    "reciprocal": reciprocal_ranks,
    "ap": average_precision,
    "ap@5": lambda s, r: average_precision(s, r, 5),
    "pr": interpolated_precision,
    "pr at 0.3": lambda s, r: interpolated_precision(s, r)[:, 3],
    "ndcg": ndcg_at_k,
    "precision": lambda s, r: precision_at_k(s, r, 5),
}
METRICS = {
    "recall": Recall(5),
    "fraction": Recall(5, "fraction"),
    "rank": MeanR(),
    "reciprocal": MRR(),
    "ap": AveragePrecision(),
    "ap@5": AveragePrecision(5),
    "pr at 0.3": InterpolatedPrecision(0.3),
    "ndcg": NDCG(),
    "precision": Precision(5),
}


def block(seed, queries=7, items=23, levels=6):
    """Scores with many ties, relevance with at least one relevant item a query."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-levels, 0, (queries, items), generator=generator).double()
    relevant = torch.rand(queries, items, generator=generator) < 0.2
    relevant[:, 0] = True
    return scores, relevant


def test_a_constant_scorer_gets_no_better_than_chance():
    relevant = torch.eye(101, dtype=torch.bool)
    assert first_hit_ranks(torch.zeros(101, 101), relevant).unique().tolist() == [51.0]


@pytest.mark.parametrize("name", PER_QUERY)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_permuting_items_and_shifting_scores_changes_nothing(name, seed):
    scores, relevant = block(seed)
    order = torch.randperm(scores.shape[1], generator=torch.Generator().manual_seed(seed))
    wanted = PER_QUERY[name](scores, relevant)
    torch.testing.assert_close(PER_QUERY[name](scores[:, order], relevant[:, order]), wanted)
    torch.testing.assert_close(PER_QUERY[name](3 * scores + 100, relevant), wanted)


@pytest.mark.parametrize("name", PER_QUERY)
def test_the_sign_of_scores_plays_no_part(name):
    """torchmetrics drops relevant items whose score is not above zero; a perfect ranking below zero is perfect here."""
    scores, relevant = -torch.arange(1.0, 9.0)[None], (torch.arange(8) < 3)[None]
    torch.testing.assert_close(PER_QUERY[name](scores, relevant), PER_QUERY[name](scores + 50, relevant))


@pytest.mark.parametrize("name", METRICS)
def test_blocks_of_queries_give_what_the_whole_gives(name):
    scores, relevant = block(3, queries=11)
    metric = METRICS[name].torchmetric()
    for start in (0, 4, 5):
        stop = {0: 4, 4: 5, 5: 11}[start]
        metric.update(scores[start:stop], relevant[start:stop])
    torch.testing.assert_close(metric.compute(), PER_QUERY[name](scores, relevant).mean(dim=0))


def test_median_rank_joins_blocks_and_floors_on_demand():
    scores, relevant = block(5, queries=10)
    ranks = first_hit_ranks(scores, relevant)
    for median in ("floor", "exact"):
        metric = MedR(median=median).torchmetric()
        metric.update(scores[:3], relevant[:3])
        metric.update(scores[3:], relevant[3:])
        assert metric.compute() == median_rank(ranks, median)
    assert median_rank(torch.tensor([1.0, 4.0]).double()) == 2
    assert median_rank(torch.tensor([1.0, 4.0]).double(), "exact") == 2.5


def test_empty_queries_count_zero_are_skipped_or_refused():
    scores, relevant = block(1)
    relevant[2] = False
    zero, skip = AveragePrecision().torchmetric(), AveragePrecision().torchmetric(empty="skip")
    zero.update(scores, relevant)
    skip.update(scores, relevant)
    torch.testing.assert_close(zero.compute() * 7, skip.compute() * 6)
    with pytest.raises(DataError, match="query 2"):
        AveragePrecision().torchmetric(empty="error").update(scores, relevant)
    with pytest.raises(ValueError, match="query 2"):
        first_hit_ranks(scores, relevant)
    assert recall_at_k(scores, relevant, 23)[2] == 0


@pytest.mark.parametrize("k", [0, -1, 2.0, True])
def test_a_cut_below_one_is_refused(k):
    scores, relevant = block(1)
    for make in (Recall, Precision, AveragePrecision, NDCG):
        with pytest.raises((ValueError, TypeError)):
            make(k)
    with pytest.raises(Exception, match="k"):
        recall_at_k(scores, relevant, k)


def test_a_cut_above_the_gallery_finds_everything():
    scores, relevant = block(1)
    assert (recall_at_k(scores, relevant, 200) == 1).all()
    torch.testing.assert_close(average_precision(scores, relevant, 200), average_precision(scores, relevant))


@pytest.mark.parametrize("column", [0, 2])  # of a relevant item, and of another
@pytest.mark.parametrize("name", PER_QUERY)
def test_scores_that_are_not_numbers_are_refused(name, column):
    scores, relevant = block(1)
    scores[4, column] = torch.nan
    with pytest.raises(ValueError, match="query 4 hold NaN"):
        PER_QUERY[name](scores, relevant)


def test_radius_curves_count_everything_within_the_radius():
    distances = torch.tensor([[0, 2, 2, 4]])
    relevant = torch.tensor([[True, False, True, True]])
    precision, recall = precision_recall_within_radius(distances, relevant, 4)
    assert precision[0].tolist() == [1, 1, 2 / 3, 2 / 3, 0.75]
    torch.testing.assert_close(recall[0], torch.tensor([1, 1, 2, 2, 3]).double() / 3)
    with pytest.raises(ValueError, match="bits=3"):
        precision_recall_within_radius(distances, relevant, 3)


def _one_process(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    scores, relevant = block(9, queries=13)
    shard = slice(0, 5) if rank == 0 else slice(5, 13)
    metrics = {name: metric.torchmetric() for name, metric in {**METRICS, "median": MedR()}.items()}
    for metric in metrics.values():
        metric.update(scores[shard], relevant[shard])
    torch.save({name: metric.compute() for name, metric in metrics.items()}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_reduce_to_what_one_gives(tmp_path):
    in_two_processes(_one_process, str(tmp_path))
    scores, relevant = block(9, queries=13)
    for rank in (0, 1):
        got = torch.load(tmp_path / f"{rank}.pt")
        assert got.pop("median") == median_rank(first_hit_ranks(scores, relevant))
        for name, value in got.items():
            torch.testing.assert_close(value, PER_QUERY[name](scores, relevant).mean(dim=0), rtol=0, atol=1e-12)
