"""Queries against a database of their own, against a loop over queries in plain NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from fico import Correspondence, RetrievalMetrics, evaluate, evaluate_scores
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import merge_results
from fico.evaluation.options import EvaluationOptions
from fico.metrics.defaults import default_metrics
from fico.metrics.plausible_match import PMRP
from fico.types import EncodedBatch

ENGINES = ("compiled", "torch")
QUERIES, ITEMS = 9, 40
OPTIONS = EvaluationOptions(bootstrap=20)


def made(dim=16, is_codes=False, seed=0):
    """Arguments of ``evaluate``: two captions a query image, none to four an image of the database; some unlabelled."""
    generator = np.random.default_rng(seed)
    owners = [np.repeat(np.arange(QUERIES), 2), np.repeat(np.arange(ITEMS), generator.integers(0, 5, ITEMS))]
    owners = [generator.permutation(side) for side in owners]
    sides = [generator.standard_normal((count, dim)) for count in (QUERIES, len(owners[0]), ITEMS, len(owners[1]))]
    images, texts, database_images, database_texts = (np.sign(side) if is_codes else side for side in sides)
    labels = generator.random((QUERIES + ITEMS, 70)) < 0.02
    return {
        "images": images,
        "texts": texts,
        "correspondence": Correspondence(owners[0]),
        "labels": labels[:QUERIES],
        "database_images": database_images,
        "database_texts": database_texts,
        "database_correspondence": Correspondence(owners[1]),
        "database_labels": labels[QUERIES:],
    }


def scores_of(queries, items, similarity):
    if similarity == "euclidean":
        return -np.linalg.norm(queries[:, None] - items[None], axis=2)
    if similarity == "hamming":
        return -(queries[:, None] != items[None]).sum(axis=2).astype(float)
    return (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (items / np.linalg.norm(items, axis=1)[:, None]).T


def loops(data, similarity):
    """Scores and relevance of both directions."""
    own, others = data["correspondence"].caption_to_image, data["database_correspondence"].caption_to_image
    shared = data["labels"].astype(int) @ data["database_labels"].T.astype(int) > 0
    return {
        "i2t": (scores_of(data["images"], data["database_texts"], similarity), shared[:, others]),
        "t2i": (scores_of(data["texts"], data["database_images"], similarity), shared[own]),
    }


def slow_ap(scores, relevant, cut=None):
    """AP over the hits within the cut, equal scores in the order of the items."""
    values = []
    for row, wanted in zip(scores, relevant, strict=True):
        hits = wanted[np.argsort(-row, kind="stable")][:cut]
        values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1) * hits).sum() / max(hits.sum(), 1))
    return np.array(values)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("similarity", ["cosine", "euclidean", "hamming"])
@pytest.mark.parametrize("block", [None, 4])
def test_every_query_has_the_average_precision_of_the_loop(similarity, engine, block):
    data = made(is_codes=similarity == "hamming")
    result = evaluate(**data, similarity=similarity, engine=engine, block=block, ties="index", options=OPTIONS)
    assert not [key for key in result.metrics if key.startswith("instance")]
    assert "9 query images and 18 query captions search a database of 40 images and" in result.notes[0]
    assert result.notes[1] == "instance metrics do not apply: no query has a positive in the database"
    for way, (scores, relevant) in loops(data, similarity).items():
        values = result.per_query[way]
        assert values.rows.tolist() == list(range(len(scores)))
        np.testing.assert_allclose(values.average_precision["10"], slow_ap(scores, relevant, 10))
        np.testing.assert_allclose(values.average_precision["N"], slow_ap(scores, relevant))
        low, high = result.intervals[f"category/{way}/mAP@N"]
        assert low < result.metrics[f"category/{way}/mAP@N"] < high
        assert result.queries[f"category/{way}/mAP@N"] == len(scores)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("is_codes", [True, False])
def test_map_at_all_is_that_of_the_literature_beside_ours(engine, is_codes):
    data, similarity = made(dim=6, is_codes=is_codes), "hamming" if is_codes else "cosine"
    result = evaluate(**data, similarity=similarity, engine=engine, options=OPTIONS)
    for way, (scores, relevant) in loops(data, similarity).items():
        known = relevant.any(axis=1)
        assert 0 < known.sum() < len(known)
        key = f"category/{way}/mAP@all"
        assert result.metrics[key] == pytest.approx(slow_ap(scores, relevant)[known].mean())
        assert result.queries[key] == known.sum()
        assert "ties: index" in result.definitions[key]
        assert result.metrics[f"category/{way}/mAP@N"] < result.metrics[key]


@pytest.mark.parametrize("engine", ENGINES)
def test_queries_and_database_in_one_array_are_those_in_two(engine):
    data = made(is_codes=True)
    apart = evaluate(**data, similarity="hamming", engine=engine, options=OPTIONS)
    order = np.random.default_rng(1).permutation(QUERIES + ITEMS)  # row of each image in the mixed set
    own = [data["correspondence"].caption_to_image, QUERIES + data["database_correspondence"].caption_to_image]
    mixed = Correspondence(np.argsort(order)[np.concatenate(own)]).with_database(np.flatnonzero(order >= QUERIES))
    images = np.concatenate([data["images"], data["database_images"]])[order]
    labels = np.concatenate([data["labels"], data["database_labels"]])[order]
    texts = np.concatenate([data["texts"], data["database_texts"]])
    found = evaluate(images, texts, mixed, labels=labels, similarity="hamming", engine=engine, options=OPTIONS)
    assert found.metrics == pytest.approx({**apart.metrics, **{k: v for k, v in found.metrics.items() if "@all" in k}})
    by_image = found.per_query["i2t"]
    assert sorted(order[by_image.rows]) == list(range(QUERIES))
    values = dict(zip(order[by_image.rows].tolist(), by_image.average_precision["N"].tolist(), strict=True))
    assert [values[n] for n in range(QUERIES)] == pytest.approx(apart.per_query["i2t"].average_precision["N"].tolist())
    assert set(order[found.hubness["t2i"].rows]) == set(range(QUERIES, QUERIES + ITEMS))


@pytest.mark.parametrize("engine", ENGINES)
def test_shards_scores_and_the_metric_object_give_the_same(engine):
    data = made()
    sides = [np.concatenate([data[name], data[f"database_{name}"]]) for name in ("images", "texts")]
    own = [data["correspondence"].caption_to_image, QUERIES + data["database_correspondence"].caption_to_image]
    joined = Correspondence(np.concatenate(own)).with_database(range(QUERIES, QUERIES + ITEMS))
    labels = np.concatenate([data["labels"], data["database_labels"]])
    options = replace(OPTIONS, engine=engine, block=3)
    whole = evaluate(**data, options=options)
    shards = [evaluate(*sides, joined, labels=labels, options=options, shard=(rank, 2)) for rank in (1, 0)]
    assert merge_results(shards).metrics == pytest.approx(whole.metrics)
    matrix = scores_of(*sides, "cosine")
    by_scores = evaluate_scores(i2t=matrix, t2i=matrix.T, correspondence=joined, labels=labels, options=options)
    assert by_scores.metrics == pytest.approx(whole.metrics)
    metric = RetrievalMetrics(joined, labels=labels, options=options)
    import torch

    rows = [torch.from_numpy(side) for side in sides]
    metric.update(EncodedBatch(rows[0], torch.arange(len(rows[0])), rows[1], torch.arange(len(rows[1]))))
    assert metric.compute().metrics == pytest.approx(whole.metrics)


@pytest.mark.parametrize("engine", ENGINES)
def test_instance_metrics_are_those_of_pairs_across_queries_and_database(engine):
    data = made()
    pairs = {"i2t": [[0, 3], [0, 8], [4, 1]], "t2i": [[17, 39], [2, 0]]}
    result = evaluate(**data, database_positives=pairs, engine=engine, options=OPTIONS)
    for way, (scores, _) in loops(data, "cosine").items():
        ranks = np.argsort(np.argsort(-scores, axis=1), axis=1) + 1
        best = {}
        for query, item in pairs[way]:
            best[query] = min(best.get(query, np.inf), ranks[query, item])
        found = result.per_query[way].ranks
        assert {int(row): found[row] for row in np.flatnonzero(~np.isnan(found))} == best
        assert result.metrics[f"instance/{way}/R@50"] == np.mean([rank <= 50 for rank in best.values()])
        assert result.queries[f"instance/{way}/R@1"] == len(best)


@pytest.mark.parametrize("engine", ENGINES)
def test_metrics_by_label_distance_search_the_database(engine):
    data = made()
    chosen = (*default_metrics(), PMRP(zetas=(0, 1)))
    found = {name: evaluate(**data, metrics=chosen, engine=name, options=OPTIONS).metrics for name in ENGINES}
    assert found["compiled"] == pytest.approx(found["torch"])


@pytest.mark.parametrize(
    ("changed", "error", "wanted"),
    [
        ({"database_texts": None}, UsageError, "got database_images, .* without database_texts"),
        ({"database_labels": None}, UsageError, "got labels without database_labels"),
        ({"labels": None, "database_labels": None}, UsageError, "no query has a positive in the database"),
        ({"folds": 2}, UsageError, "neither folds nor further positives"),
        ({"tasks": ("instance",)}, UsageError, "no query has a positive"),
        ({"database_positives": {"i2t": [[0, 999]]}}, DataError, r"pair 0 .* is \[0, 999\]"),
        ({"database_positives": {"t2t": [[0, 1]]}}, UsageError, "has t2t; give i2t, t2i or both"),
        ({"database_labels": np.zeros((ITEMS, 3), bool)}, DataError, "same classes"),
        ({"database_images": np.zeros((ITEMS, 3))}, DataError, "database_images have 3 dimensions and texts 16"),
        ({"database_images": np.full((ITEMS, 16), np.nan)}, DataError, "40 of 40 database_images hold NaN"),
        ({"database_correspondence": Correspondence([0, 1])}, DataError, "the correspondence has 2 captions"),
        ({"hubness_correction": "nnn"}, UsageError, "not computed against a separate database"),
    ],
)
def test_what_does_not_fit_is_one_sentence(changed, error, wanted):
    with pytest.raises(error, match=wanted):
        evaluate(**{**made(), **changed}, bootstrap=0)


@pytest.mark.parametrize(
    ("rows", "wanted"), [([0, 0], "names image row 0"), ([-1, 2], "names image row -1"), (np.zeros(0, int), "is empty")]
)
def test_a_database_has_rows_each_once(rows, wanted):
    with pytest.raises(DataError, match=wanted):
        Correspondence([0, 1, 2]).with_database(rows)


def test_a_database_of_all_images_leaves_no_query():
    with pytest.raises(DataError, match="some must be queries"):
        Correspondence([0, 1, 2]).with_database([0, 1, 2]).check(3, 3)
