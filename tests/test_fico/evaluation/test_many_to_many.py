"""Any number of positives per query against a loop over every order of tied items, on both engines."""

from itertools import chain, permutations, product

import numpy as np
import pytest

from fico import Correspondence, evaluate, evaluate_scores
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import merge_results

ENGINES = ("compiled", "torch")
CUTS = (1, 2, 4)


def values_of(hits):
    """R@K, rank, 1 / rank, nDCG@10, AP@R and R-Precision of one ranking."""
    first = int(np.argmax(hits)) + 1
    gains = 1 / np.log2(np.arange(2, len(hits) + 2))
    gain = (hits * gains)[:10].sum() / gains[: min(hits.sum(), 10)].sum()
    count = hits.sum()
    precisions = [hits[: n + 1].mean() for n in range(count) if hits[n]]
    return [
        *(float(hits[:k].any()) for k in CUTS),
        first,
        1 / first,
        gain,
        sum(precisions) / count,
        hits[:count].mean(),
    ]


def slow(scores, relevant, ties="expected"):
    """Values of each query: the mean over all orders that the scores allow, or that of one order; NaN without hits."""
    found = []
    for row, wanted in zip(scores, relevant, strict=True):
        if not wanted.any():
            found.append([np.nan] * (len(CUTS) + 5))
            continue
        if ties == "expected":
            groups = [permutations(np.flatnonzero(row == level)) for level in np.unique(row)[::-1]]
            orders = [list(chain(*parts)) for parts in product(*groups)]
        else:
            second = {"optimistic": ~wanted, "pessimistic": wanted, "index": np.arange(len(row))}[ties]
            orders = [np.lexsort((second, -row))]
        found.append(np.mean([values_of(wanted[order]) for order in orders], axis=0))
    return np.array(found)


def tied_problem(seed, images=5, captions=6):
    """Scores of few values, positives of either side from none to all, some queries without known positives."""
    generator = np.random.default_rng(seed)
    relevant = generator.random((images, captions)) < generator.choice([0.2, 0.5, 0.9])
    relevant[0, 0] = True
    sides = [generator.random(n) < 0.7 for n in (images, captions)]
    sides[0][0] = sides[1][0] = True
    rows, columns = np.nonzero(relevant)
    pairs = Correspondence.from_pairs(
        rows, columns, images=images, captions=captions, caption_to_image=generator.integers(0, images, captions),
        image_queries=np.flatnonzero(sides[0]), caption_queries=np.flatnonzero(sides[1]),
    )  # fmt: skip
    scores = generator.integers(0, 3, (images, captions)).astype(np.float64)
    return scores, pairs, {"i2t": relevant & sides[0][:, None], "t2i": relevant.T & sides[1][:, None]}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "index"])
@pytest.mark.parametrize("seed", range(4))
def test_values_of_many_positives_are_means_over_every_order_of_ties(seed, ties, engine):
    scores, pairs, relevant = tied_problem(seed)
    result = evaluate_scores(
        i2t=scores, t2i=scores.T, correspondence=pairs, recall_at=CUTS, ties=ties, bootstrap=0, engine=engine
    )
    for direction, matrix in (("i2t", scores), ("t2i", scores.T)):
        wanted = slow(matrix, relevant[direction], ties)
        values = result.per_query[direction].values
        columns = [*(values[f"instance/R@{k}"] for k in CUTS), result.per_query[direction].ranks]
        columns += [values[f"instance/{name}"] for name in ("MRR", "nDCG@10", "mAP@R", "R-Precision")]
        np.testing.assert_allclose(np.stack(columns, axis=1), wanted, atol=1e-12)
        known = ~np.isnan(wanted[:, 0])
        assert result.metrics[f"instance/{direction}/R@2"] == pytest.approx(wanted[known, 1].mean())
        assert result.queries[f"instance/{direction}/R@2"] == known.sum()
        if not known.all():
            assert any(f"instance {direction}: {(~known).sum()} of" in note for note in result.notes)


def codes_and_pairs(seed, images=12, captions=30, bits=6):
    generator = np.random.default_rng(seed)
    sides = [np.where(generator.random((n, bits)) < 0.5, 1, -1).astype(np.int8) for n in (images, captions)]
    relevant = generator.random((images, captions)) < 0.7  # more per query than are counted one by one
    rows, columns = np.nonzero(relevant)
    owners = generator.integers(0, images, captions)
    sizes = {"images": images, "captions": captions}
    return sides, Correspondence.from_pairs(rows, columns, **sizes, caption_to_image=owners), owners


def equal(first, second, prefix="instance/", other="instance/"):
    keys = [key for key in first.metrics if key.startswith(prefix)]
    assert keys
    for key in keys:
        named = other + key[len(prefix) :]
        assert first.metrics[key] == pytest.approx(second.metrics[named], abs=1e-12), key
        for part in ("intervals", "tie_bounds"):
            mine, theirs = getattr(first, part).get(key), getattr(second, part).get(named)
            assert mine == pytest.approx(theirs, abs=1e-12) if mine and theirs else True, (part, key)


@pytest.mark.parametrize("ties", ["expected", "index"])
@pytest.mark.parametrize("seed", range(2))
def test_codes_scores_and_both_engines_agree(seed, ties):
    sides, pairs, _ = codes_and_pairs(seed)
    options = {"ties": ties, "bootstrap": 20, "recall_at": CUTS}
    scores = sides[0].astype(np.float64) @ sides[1].T
    wanted = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, **options)
    for engine in ENGINES:
        equal(wanted, evaluate(*sides, pairs, similarity="hamming", engine=engine, **options))
        equal(wanted, evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, engine=engine, **options))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("similarity", ["hamming", "inner"])
def test_further_positives_are_evaluated_beside_the_others_as_if_alone(similarity, engine):
    sides, pairs, owners = codes_and_pairs(3)
    sides = sides if similarity == "hamming" else [side.astype(np.float32) for side in sides]
    labels = np.eye(4, dtype=bool)[np.arange(12) % 4]
    options = {"similarity": similarity, "engine": engine, "labels": labels, "bootstrap": 20, "recall_at": CUTS}
    own = evaluate(*sides, Correspondence(owners), **options)
    both = evaluate(*sides, Correspondence(owners), positives={"many": pairs}, **options)
    for task in ("instance/", "category/"):
        equal(own, both, task, task)
    equal(evaluate(*sides, pairs, **options), both, "instance/", "many/")
    assert "positives: many" in both.definitions["many/i2t/R@1"]
    assert "many/R@1" in both.per_query["t2i"].values


def test_further_positives_have_rsum_and_columns_per_query_of_their_own():
    sides, pairs, owners = codes_and_pairs(3)
    options = {"similarity": "hamming", "bootstrap": 20}
    both = evaluate(*sides, Correspondence(owners), positives={"many": pairs}, **options)
    alone = evaluate(*sides, pairs, **options)
    for name in ("RSUM", "chance/RSUM"):
        assert both.metrics[f"many/{name}"] == pytest.approx(alone.metrics[f"instance/{name}"])
        assert both.intervals[f"many/{name}"] == pytest.approx(alone.intervals[f"instance/{name}"])
    assert both.tie_bounds["many/RSUM"] == pytest.approx(alone.tie_bounds["instance/RSUM"])
    assert both.metrics["instance/RSUM"] != both.metrics["many/RSUM"]
    assert "positives: many" in both.definitions["many/RSUM"]
    for way in ("i2t", "t2i"):
        mine, theirs = both.per_query[way].values, alone.per_query[way].values
        for name in ("R@1", "mAP@R", "R-Precision", "MRR", "nDCG@10"):
            np.testing.assert_allclose(mine[f"many/{name}"], theirs[f"instance/{name}"], atol=1e-12)


def test_a_shard_of_the_queries_each_gives_the_whole():
    sides, pairs, owners = codes_and_pairs(4)
    options = {"positives": {"many": pairs}, "bootstrap": 20, "block": 5}
    whole = evaluate(*sides, Correspondence(owners), **options)
    shards = [evaluate(*sides, Correspondence(owners), shard=(rank, 2), **options) for rank in (1, 0)]
    merged = merge_results(shards)
    assert merged.metrics == whole.metrics
    assert merged.intervals == whole.intervals
    assert merged.notes == whole.notes


@pytest.mark.parametrize("engine", ENGINES)
def test_each_fold_is_a_gallery_of_its_own(engine):
    """By hand: the pairs within each half, the captions with their own image."""
    generator = np.random.default_rng(5)
    owners = generator.permutation(np.arange(20) % 8)
    relevant = generator.random((8, 20)) < 0.4
    rows, columns = np.nonzero(relevant)
    pairs = Correspondence.from_pairs(rows, columns, images=8, captions=20, caption_to_image=owners)
    scores = generator.integers(0, 9, (8, 20)).astype(np.float64)
    options = {"bootstrap": 0, "recall_at": CUTS, "engine": engine}
    result = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, folds=2, **options)
    halves = []
    for images in (slice(0, 4), slice(4, 8)):
        texts = np.flatnonzero((owners >= images.start) & (owners < images.stop))
        part, row = scores[images][:, texts], np.nonzero(relevant[images][:, texts])
        alone = Correspondence.from_pairs(
            *row, images=4, captions=len(texts), caption_to_image=owners[texts] - images.start
        )
        halves.append(evaluate_scores(i2t=part, t2i=part.T, correspondence=alone, **options).metrics)
    for key, value in result.metrics.items():
        assert value == pytest.approx(np.mean([half[key] for half in halves])), key


def test_one_image_per_caption_by_pairs_is_the_plain_correspondence():
    generator = np.random.default_rng(6)
    owners = generator.integers(0, 9, 40)
    images, texts = generator.normal(size=(10, 5)), generator.normal(size=(40, 5))
    labels = generator.random((10, 4)) < 0.4
    plain = evaluate(images, texts, Correspondence(owners), labels=labels)
    pairs = Correspondence.from_pairs(owners, np.arange(40), images=10, captions=40)
    np.testing.assert_array_equal(pairs.caption_to_image, owners)
    result = evaluate(images, texts, pairs, labels=labels)
    assert result.metrics.items() >= plain.metrics.items()
    assert result.intervals.items() >= plain.intervals.items()
    added = {key.rpartition("/")[2] for key in result.metrics.keys() - plain.metrics.keys()}
    assert added == {"mAP@R", "R-Precision"}


def test_captions_are_resampled_with_their_own_image_or_else_with_the_first_of_their_positives():
    pairs = Correspondence.from_pairs([0, 2, 1, 1], [0, 0, 1, 2], images=3, captions=4)
    assert pairs.caption_to_image.tolist() == [-1, 1, 1, -1]
    scores = np.arange(12.0).reshape(3, 4)
    result = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, bootstrap=50)
    assert result.per_query["t2i"].images.tolist() == [0, 1, 1, -1]
    assert result.queries["instance/t2i/R@1"] == 3


def test_chance_is_what_constant_scores_reach():
    _, pairs, _ = codes_and_pairs(7)
    scores = np.zeros((12, 30))
    result = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, bootstrap=0, recall_at=CUTS)
    for key, value in result.metrics.items():
        if "/chance/" not in key and "MedR" not in key and "RSUM" not in key:
            level = "{}/{}/chance/{}".format(*key.split("/"))
            assert value == pytest.approx(result.metrics[level]), key


def bad(sentence, *lists, error=DataError, **changed):
    with pytest.raises(error, match=sentence):
        Correspondence.from_pairs(*lists, **{"images": 3, "captions": 4, **changed})


def test_pairs_that_cannot_be_are_refused_in_one_sentence():
    bad("pair 1 has image row 3, but there are 3 images", [0, 3], [0, 1])
    bad("pair 0 has caption row -1", [0, 1], [-1, 1])
    bad("2 image rows and 1 caption rows", [0, 1], [0])
    bad("image_rows is empty; give one image row per pair, at least one$", [], [])
    bad(r"image_rows has shape \(1, 1\)", [[0]], [0])
    bad("integers", [0.5], [0])
    bad("none of the 1 image_queries has a pair", [0], [0], image_queries=[1])
    bad("caption_queries is empty", [0], [0], caption_queries=[])
    bad("image_queries names row 5", [0], [0], image_queries=[5])
    bad("belongs to image row 7", [0], [0], caption_to_image=[0, 1, 2, 7])


def test_what_needs_an_image_of_every_caption_says_so():
    pairs = Correspondence.from_pairs([0, 1, 1], [0, 0, 1], images=2, captions=2)
    scores = np.zeros((2, 2))
    for options in ({"labels": np.eye(2, dtype=bool)}, {"folds": 2}, {"positives": {"more": pairs}}):
        with pytest.raises(DataError, match="1 captions have no source image, the first in row 0"):
            evaluate_scores(i2t=scores, t2i=None, correspondence=pairs, **options)
    own = Correspondence([0, 1])
    for name in ("instance", "category", "nnn", "dual_softmax", "a/b", ""):
        with pytest.raises(UsageError, match=f"positives have the name '{name}'"):
            evaluate_scores(i2t=scores, t2i=None, correspondence=own, positives={name: pairs})
    with pytest.raises(DataError, match="given for 2 images, but there are 3"):
        evaluate_scores(i2t=np.zeros((3, 2)), t2i=None, correspondence=own, positives={"more": pairs})
