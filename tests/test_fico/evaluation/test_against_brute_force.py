"""The engine against a loop over queries in plain NumPy, where a wrong row, column, scale or count shows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fico import Correspondence, Rerank, evaluate, evaluate_scores
from fico.evaluation.memory import plan_memory
from fico.evaluation.options import EvaluationOptions
from fico.types import EncodedBatch

ENGINES = ("compiled", "torch")


def slow(scores, relevant, k=10):
    """Rank of the first relevant item, AP at k over the hits found, and AP, of each query; no score occurs twice."""
    found = []
    for row, wanted in zip(scores, relevant, strict=True):
        hits = wanted[np.argsort(-row)]
        precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        ap = [(precisions[:n] * hits[:n]).sum() / max(hits[:n].sum(), 1) for n in (k, len(hits))]
        found.append((np.argmax(hits) + 1 if hits.any() else np.nan, *ap))
    return np.array(found).T


def uneven(seed, images=60, most=20, classes=200):
    """Up to 20 captions an image, 200 classes of which all labels lie behind the 128th."""
    generator = np.random.default_rng(seed)
    owners = generator.permutation(np.repeat(np.arange(images), generator.integers(0, most + 1, images)))
    labels = np.zeros((images, classes), dtype=bool)
    labels[:, 130:] = generator.random((images, classes - 130)) < 0.03
    return generator, owners, labels


def check(result, scores, owners, labels, cut="10"):
    """Both directions of a result against the loop over ``scores``, images x captions."""
    images = np.arange(len(labels))
    shared = labels.astype(int) @ labels.T.astype(int) > 0
    for direction, matrix, queries, items in (("i2t", scores, images, owners), ("t2i", scores.T, owners, images)):
        ranks, _, _ = slow(matrix, queries[:, None] == items[None])
        _, short, whole = slow(matrix, shared[queries][:, items], int(cut))
        values = result.per_query[direction]
        np.testing.assert_allclose(values.ranks, ranks)
        np.testing.assert_allclose(values.average_precision[cut], short)
        np.testing.assert_allclose(values.average_precision["N"], whole)
        middle = np.median(ranks[~np.isnan(ranks)])
        assert result.metrics[f"instance/{direction}/MedR"] == np.floor(middle)


@pytest.mark.parametrize("engine", ENGINES)
def test_many_captions_and_classes_are_those_of_the_loop(engine):
    generator, owners, labels = uneven(0)
    images = generator.standard_normal((len(labels), 24))
    texts = images[owners] + 1.5 * generator.standard_normal((len(owners), 24))
    scores = (images / np.linalg.norm(images, axis=1)[:, None]) @ (texts / np.linalg.norm(texts, axis=1)[:, None]).T
    check(
        evaluate(images, texts, Correspondence(owners), labels=labels, bootstrap=0, engine=engine),
        scores,
        owners,
        labels,
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
def test_a_matrix_too_large_to_keep_is_that_of_the_loop(similarity, engine, monkeypatch):
    """Half precision that is cast in pieces of a few rows, in blocks of a few queries."""
    monkeypatch.setattr("fico.similarity.CAST_BYTES", 2000)
    monkeypatch.setattr("fico.evaluation.score_sources.DEVICE_CAST_BYTES", 2000)
    generator, owners, labels = uneven(1)
    lengths = generator.uniform(0.2, 5, (len(labels) + len(owners), 1))
    images = generator.standard_normal((len(labels), 48))
    texts = images[owners] + 1.5 * generator.standard_normal((len(owners), 48))
    images, texts = (
        side.astype(np.float16) for side in (images * lengths[: len(labels)], texts * lengths[len(labels) :])
    )
    wide = [side.astype(np.float64) for side in (images, texts)]
    if similarity == "euclidean":
        scores = -np.linalg.norm(wide[0][:, None] - wide[1][None], axis=2)
    else:
        norms = [np.linalg.norm(side, axis=1)[:, None] if similarity == "cosine" else 1 for side in wide]
        scores = (wide[0] / norms[0]) @ (wide[1] / norms[1]).T
    options = EvaluationOptions(memory_limit=700_000 if similarity == "euclidean" else 500_000, bootstrap=0, block=7)
    dtype = np.dtype(np.float64 if similarity == "euclidean" else np.float32)
    plan = plan_memory(len(images), len(texts), 48, dtype, options)
    assert not plan.whole
    assert plan.keep_bytes < texts.size * 4
    if engine == "torch":
        options = replace(options, memory_limit=2_000_000, engine=engine)
    result = evaluate(images, texts, Correspondence(owners), labels=labels, similarity=similarity, options=options)
    check(result, scores, owners, labels)


@pytest.mark.parametrize(("median", "wanted"), [("floor", 2), ("exact", 2.5)])
def test_the_median_of_an_even_number_of_ranks_is_floored_or_kept(median, wanted):
    chosen = np.empty((4, 4))
    for query in range(4):  # the caption of an image comes after as many others as the image's number
        chosen[query, query] = 0
        chosen[query, [item for item in range(4) if item != query]] = [1 if n < query else -1 for n in range(3)]
    result = evaluate_scores(i2t=chosen, t2i=None, correspondence=Correspondence(range(4)), median=median, bootstrap=2)
    assert result.per_query["i2t"].ranks.tolist() == [1, 2, 3, 4]
    assert result.metrics["instance/i2t/MedR"] == wanted


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_score_matrices_of_half_precision_keep_order_and_range(dtype, engine):
    generator = np.random.default_rng(2)
    largest = 1e30 if dtype is torch.bfloat16 else 6e4
    scores = torch.from_numpy(generator.permutation(np.linspace(0.1, 1, 49)).reshape(7, 7) * largest).to(dtype)
    pairs = Correspondence(range(7))
    got = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, bootstrap=0, engine=engine)
    wanted = evaluate_scores(i2t=scores.double(), t2i=scores.T.double(), correspondence=pairs, bootstrap=0)
    assert got.metrics == wanted.metrics
    assert got.metrics["instance/i2t/MeanR"] > 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_whole_numbers_beyond_float32_are_told_apart(dtype, engine):
    matrix = np.array([[2**24, 2**24 + 1], [2**24 + 1, 2**24]], dtype=dtype)
    pairs = Correspondence([0, 1])
    result = evaluate_scores(i2t=matrix, t2i=matrix.T, correspondence=pairs, bootstrap=0, engine=engine)
    assert result.metrics["instance/i2t/MeanR"] == 2
    inner = evaluate(matrix, np.eye(2, dtype=dtype), pairs, similarity="inner", bootstrap=0, engine=engine)
    assert inner.metrics["instance/i2t/MeanR"] == 2


class Scorer:
    """Gives each pair a score by its states."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def match(self, images, texts, lengths):
        return (images * texts).sum(dim=-1).flatten() + self.shift


def reranked(k, shift=0.0, count=40):
    generator = torch.Generator().manual_seed(3)
    images, texts = (torch.randn(count, 8, generator=generator) for _ in range(2))
    texts = images + 0.9 * texts
    states = [torch.randn(count, 8, generator=generator) for _ in range(2)]
    encoded = EncodedBatch(
        images=images, texts=texts, image_ids=torch.arange(count), text_ids=torch.arange(count),
        image_states=states[0], text_states=states[1], text_lengths=torch.full((count,), 8),
    )  # fmt: skip
    return images @ texts.T, states[0] @ states[1].T, Rerank(Scorer(shift), k, progress=False)(encoded)


@pytest.mark.parametrize("shift", [0.0, -150.0])
@pytest.mark.parametrize("k", [4, 12, 30])
@pytest.mark.parametrize("engine", ENGINES)
def test_metrics_of_a_reranking_are_those_of_its_candidates_and_end_with_them(k, shift, engine):
    """By a loop: k items by the first stage, ordered by the second. A scorer may score below the usual fill value."""
    first, second, matrices = reranked(k, shift)
    result = evaluate_scores(
        i2t=matrices.i2t,
        t2i=matrices.t2i,
        correspondence=Correspondence(range(40)),
        bootstrap=2,
        recall_at=(1, 4, 10, 40),
        engine=engine,
    )
    for direction, coarse, fine in (("i2t", first, second), ("t2i", first.T, second.T)):
        ranks = np.full(40, np.nan)
        for query in range(40):
            chosen = np.argsort(-coarse[query].numpy())[:k]
            ordered = chosen[np.argsort(-fine[query].numpy()[chosen])]
            if query in ordered:
                ranks[query] = list(ordered).index(query) + 1
        np.testing.assert_array_equal(result.per_query[direction].ranks, ranks)
        for cut in (1, 4, 10, 40):
            key = f"instance/{direction}/R@{cut}"
            if cut <= k:
                assert result.metrics[key] == pytest.approx(np.mean(ranks <= cut))
            else:
                assert key not in result.metrics
                assert f"R@{cut}" in str(result.notes)
        complete, middle = not np.isnan(ranks).any(), np.median(np.nan_to_num(ranks, nan=k + 1))
        assert (f"instance/{direction}/MeanR" in result.metrics) == complete
        assert (f"instance/{direction}/MRR" in result.metrics) == complete
        assert result.metrics.get(f"instance/{direction}/MedR") == (np.floor(middle) if middle <= k else None)
        assert (f"instance/{direction}/nDCG@10" in result.metrics) == (k >= 10)


def test_a_median_beyond_the_candidates_has_no_value_and_no_interval_reaches_behind_them():
    generator = np.random.default_rng(4)
    scores = np.full((30, 30), -100.0, dtype=np.float32)
    for query in range(30):
        chosen = [query, *[n for n in range(3) if n != query][:2]] if query < 18 else [0, 1, 2]
        scores[query, chosen[:3]] = generator.random(3)
    pairs = Correspondence(range(30))
    known = evaluate_scores(i2t=scores, t2i=None, correspondence=pairs, bootstrap=200)
    assert known.metrics["instance/i2t/MedR"] <= 3
    assert known.intervals["instance/i2t/MedR"][1] <= 4
    lost = evaluate_scores(i2t=scores[::-1], t2i=None, correspondence=pairs, bootstrap=200)
    assert "instance/i2t/MedR" not in lost.metrics
    assert np.isnan(lost.per_query["i2t"].ranks).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_single_score_of_the_fill_value_is_no_reranking(engine):
    scores = np.random.default_rng(5).standard_normal((8, 8))
    scores[np.arange(8), np.arange(8)[::-1]] = -100
    result = evaluate_scores(
        i2t=scores, t2i=scores.T, correspondence=Correspondence(range(8)), bootstrap=0, engine=engine
    )
    assert "instance/i2t/MeanR" in result.metrics


@pytest.mark.parametrize("engine", ENGINES)
def test_captions_behind_the_fifth_count_in_the_fraction_found_and_in_the_gain(engine):
    scores = np.array([[*np.linspace(1, 0.5, 8), 0.1, 0.2], np.linspace(0, 1, 10)])
    pairs = Correspondence([0] * 8 + [1] * 2)
    result = evaluate_scores(i2t=scores, t2i=None, correspondence=pairs, recall="fraction", bootstrap=0, engine=engine)
    values = result.per_query["i2t"].values
    assert values["instance/R@5"][0] == pytest.approx(5 / 8)
    assert values["instance/R@10"][0] == pytest.approx(1)
    assert values["instance/nDCG@10"][0] == pytest.approx(1)
