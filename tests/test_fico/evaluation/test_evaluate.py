"""The evaluation engine: laws, encodings, shards, folds and what it refuses."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fico.errors import DataError, UsageError
from fico.evaluation.engines.compiled import CpuEngine
from fico.evaluation.engines.direction import DirectionTasks
from fico.evaluation.engines.sources import CodeSource
from fico.evaluation.engines.tensor_scores import CodeTensors
from fico.evaluation.engines.torch_engine import TensorEngine
from fico.evaluation.evaluate import evaluate, evaluate_scores, merge_results
from fico.evaluation.memory import plan_memory
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.evaluation.score_sources import MatrixScores, embedding_source
from fico.metrics.average_precision import average_precision
from fico.metrics.precision_recall import precision_recall_within_radius
from fico.types import Correspondence


def problem(seed=0, images=13, classes=70, dim=8):
    """Uneven captions (an image may have none), shuffled; labels with empty rows; embeddings near their image."""
    generator = np.random.default_rng(seed)
    rows = np.repeat(np.arange(images), generator.integers(0, 5, images))
    rows = generator.permutation(np.append(rows, 0))
    vectors = generator.standard_normal((images, dim)).astype(np.float32)
    texts = vectors[rows] + generator.standard_normal((len(rows), dim)).astype(np.float32)
    labels = generator.random((images, classes)) < 2 / classes
    return vectors, texts, Correspondence(rows), labels


def codes(seed=0, bits=16):
    vectors, texts, pairs, labels = problem(seed, dim=bits)
    return np.where(vectors > 0, 1, -1).astype(np.int8), np.where(texts > 0, 1, -1).astype(np.int8), pairs, labels


def same(first, second, exact=True):
    assert first.metrics.keys() == second.metrics.keys()
    for key, value in first.metrics.items():
        if exact:
            assert value == second.metrics[key] or np.isnan(value), key
            assert first.tie_bounds.get(key) == second.tie_bounds.get(key), key
        else:
            assert value == pytest.approx(second.metrics[key], abs=1e-12, nan_ok=True), key


@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic", "index"])
@pytest.mark.parametrize(("ap", "recall"), [("hits", "any"), ("min_k_r", "fraction"), ("r", "any")])
def test_kernels_and_tensors_give_the_same_values(ties, ap, recall):
    images, texts, pairs, labels = codes(3, bits=8)
    options = EvaluationOptions(ties=ties, ap=ap, recall=recall, map_at=(3, 7, 100), recall_at=(1, 4, 50))
    instance = InstanceRetrieval(pairs, len(images))
    category = CategoryRetrieval(labels, instance)
    plan = plan_memory(len(images), len(texts), images.shape[1], np.dtype(np.float32), options)
    packed = embedding_source(images, texts, "hamming", None, plan, None)
    scores = images.astype(np.float64) @ texts.T
    floats = MatrixScores({"i2t": scores, "t2i": scores.T})
    tensors = CodeTensors(packed, torch.device("cpu"))
    for direction in ("i2t", "t2i"):
        given = DirectionTasks(direction, instance, category, options)
        queries = len(instance.images_of(direction)[0])
        (by_codes,) = CpuEngine(given).codes(packed, [(0, queries)])
        (by_floats,) = CpuEngine(given).floats(floats, [(0, queries)], queries)
        (by_tensors,) = TensorEngine(given, torch.device("cpu")).blocks(tensors, [(0, queries)])
        for other in (by_floats, by_tensors):
            for task in ("instance", "category"):
                mine, theirs = by_codes.tasks[task], other.tasks[task]
                np.testing.assert_array_equal(mine.relevant_counts, theirs.relevant_counts)
                answered = mine.relevant_counts > 0
                np.testing.assert_allclose(mine.values[answered], theirs.values[answered], atol=1e-12)
                for n in (0, 1):
                    np.testing.assert_allclose(mine.bounds[n][answered], theirs.bounds[n][answered], atol=1e-12)


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_permuting_images_and_captions_changes_nothing(seed):
    for images, texts, pairs, labels in (problem(seed), codes(seed)):
        similarity = "cosine" if images.dtype == np.float32 else "hamming"
        generator = np.random.default_rng(seed)
        p, q = generator.permutation(len(images)), generator.permutation(len(texts))
        moved = Correspondence(np.argsort(p)[pairs.caption_to_image[q]])
        first = evaluate(images, texts, pairs, labels=labels, similarity=similarity, bootstrap=2)
        second = evaluate(images[p], texts[q], moved, labels=labels[p], similarity=similarity, bootstrap=2)
        same(first, second, exact=False)


@given(shift=st.integers(-50, 50), scale=st.sampled_from([0.25, 1, 8]))
@settings(max_examples=10, deadline=None)
def test_shifting_and_scaling_scores_changes_nothing(shift, scale):
    images, texts, pairs, labels = codes(2)
    scores = (images.astype(np.float32) @ texts.T).astype(np.float64)
    first = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, labels=labels, bootstrap=2)
    moved = scores * scale + shift
    same(first, evaluate_scores(i2t=moved, t2i=moved.T, correspondence=pairs, labels=labels, bootstrap=2))


@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean", "hamming"])
def test_blocks_give_what_the_whole_gives(similarity):
    images, texts, pairs, labels = codes(4) if similarity == "hamming" else problem(4)
    whole = evaluate(images, texts, pairs, labels=labels, similarity=similarity, bootstrap=20)
    for block in (1, 5):
        got = evaluate(images, texts, pairs, labels=labels, similarity=similarity, bootstrap=20, block=block)
        same(whole, got)
        assert whole.intervals == got.intervals or similarity != "hamming"


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("similarity", ["cosine", "hamming"])
def test_shards_of_processes_merge_to_what_one_gives(similarity, world):
    images, texts, pairs, labels = codes(5) if similarity == "hamming" else problem(5)
    options = {"labels": labels, "similarity": similarity, "block": 3, "bootstrap": 50, "folds": 2}
    one = evaluate(images, texts, pairs, **options)
    shards = [evaluate(images, texts, pairs, **options, shard=(rank, world)) for rank in range(world)]
    merged = merge_results(shards[::-1])
    same(one, merged)
    assert str(one.intervals) == str(merged.intervals)
    assert one.queries == merged.queries
    assert one.notes == merged.notes
    for key, curve in one.curves.items():
        assert (curve.precision == merged.curves[key].precision).all()
        assert (curve.recall == merged.curves[key].recall).all()
    for direction, values in one.per_query.items():
        np.testing.assert_array_equal(values.rows, merged.per_query[direction].rows)
        np.testing.assert_array_equal(values.ranks, merged.per_query[direction].ranks)
    with pytest.raises(ValueError, match="shards"):
        merge_results(shards[1:])


def test_more_processes_than_blocks_still_merge():
    images, texts, pairs, labels = problem(5)
    one = evaluate(images, texts, pairs, labels=labels, bootstrap=5)
    merged = merge_results([evaluate(images, texts, pairs, labels=labels, bootstrap=5, shard=(n, 4)) for n in range(4)])
    same(one, merged)


@pytest.mark.parametrize("bits", [8, 12, 64, 100])
def test_codes_give_the_same_in_every_encoding(bits):
    images, texts, pairs, labels = codes(6, bits)
    wanted = evaluate(images, texts, pairs, labels=labels, similarity="hamming", bootstrap=2)
    dtypes = [np.bool_, np.uint8, np.int8, np.int32, np.int64, np.float16, np.float32, np.float64]
    sides = [((images > 0).astype(d), (texts > 0).astype(d)) for d in dtypes]
    sides += [(images.astype(d), texts.astype(d)) for d in dtypes[2:]]
    sides += [tuple(torch.from_numpy(side).bfloat16() for side in (images, texts))]
    for first, second in sides:
        same(wanted, evaluate(first, second, pairs, labels=labels, similarity="hamming", bootstrap=2))
    packed = (np.packbits(images > 0, axis=1), np.packbits(texts > 0, axis=1))
    same(wanted, evaluate(*packed, pairs, labels=labels, similarity="hamming", bits=bits, bootstrap=2))
    floats = evaluate(images, texts, pairs, labels=labels, similarity="cosine", bootstrap=2)
    same(
        wanted, floats, exact=False
    )  # the cosine of codes keeps their exact ties, also where 1 / sqrt(bits) is rounded


def test_int8_codes_of_any_length_do_not_overflow():
    generator = np.random.default_rng(0)
    images = np.where(generator.random((9, 2048)) < 0.5, 1, -1).astype(np.int8)
    for similarity in ("inner", "cosine", "euclidean", "hamming"):
        result = evaluate(images, images, Correspondence(range(9)), similarity=similarity, bootstrap=2)
        assert result.metrics["instance/i2t/R@1"] == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_of_any_precision_and_container_are_taken(dtype):
    images, texts, pairs, labels = (torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in problem(7))
    images, texts = images.to(dtype), texts.to(dtype)
    result = evaluate(images.requires_grad_(), texts, pairs, labels=labels, bootstrap=2)
    scores = torch.nn.functional.cosine_similarity(images.detach().double()[:, None], texts.double()[None], dim=2)
    wanted = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, labels=labels, bootstrap=2)
    same(result, wanted, exact=False)


def test_float64_scores_are_not_compared_in_float32():
    scores = np.array([[1.0, 1.0 - 1e-12], [0.0, 1.0]])
    result = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=Correspondence([1, 0]), bootstrap=2)
    assert result.metrics["instance/i2t/MeanR"] == 2
    assert not result.tie_bounds


def test_zero_vectors_score_zero_and_take_no_top_rank():
    images = np.eye(3, dtype=np.float32)
    texts = np.vstack([images, np.zeros((1, 3), dtype=np.float32)])
    result = evaluate(images, texts, Correspondence([0, 1, 2, 0]), bootstrap=2)
    assert result.metrics["instance/i2t/R@1"] == 1
    assert result.per_query["t2i"].ranks.tolist() == [1, 1, 1, 2]  # the zero caption ties with all three images


def test_norms_far_from_one_lose_no_score():
    images, texts, pairs, labels = problem(8)
    wanted = evaluate(images, texts, pairs, labels=labels, bootstrap=2)
    for scale in (1e-18, 1e18, 1e-30, 1e30):
        with np.errstate(over="raise"):
            got = evaluate(images * np.float32(scale), texts * np.float32(scale), pairs, labels=labels, bootstrap=2)
        same(wanted, got, exact=False)


def test_euclidean_resolves_small_distances_between_large_vectors():
    images = np.array([[1e4, 0.0], [1e4, 0.01]], dtype=np.float32)
    result = evaluate(images, images, Correspondence([0, 1]), similarity="euclidean", bootstrap=2)
    assert result.metrics["instance/i2t/R@1"] == 1


def test_an_image_without_captions_is_no_query_but_a_distractor():
    images = np.array([[1.0, 0], [0, 1], [1, 0.1]])
    result = evaluate(images, images[[0, 1]], Correspondence([0, 1]), bootstrap=2)
    assert result.queries["instance/i2t/R@1"] == 2
    assert np.isnan(result.per_query["i2t"].ranks[2])
    assert any("1 of 3 images have no caption" in note for note in result.notes)
    assert result.metrics["instance/t2i/chance/MeanR"] == 2


def test_queries_without_relevant_item_follow_the_rule_and_are_counted():
    images, texts, pairs, labels = problem(9)
    labels = labels.copy()
    labels[:4] = False
    by_rule = {
        rule: evaluate(images, texts, pairs, labels=labels, empty=rule, bootstrap=2) for rule in ("zero", "skip")
    }
    key = "category/t2i/mAP@N"
    queries = {rule: result.queries[key] for rule, result in by_rule.items()}
    assert queries["skip"] < queries["zero"] == len(texts)
    total = by_rule["zero"].metrics[key] * queries["zero"]
    assert total == pytest.approx(by_rule["skip"].metrics[key] * queries["skip"])
    assert any("count 0" in note and "t2i" in note for note in by_rule["zero"].notes)
    assert any("are left out" in note for note in by_rule["skip"].notes)
    with pytest.raises(DataError, match="shares no label"):
        evaluate(images, texts, pairs, labels=labels, empty="error", bootstrap=2)


def test_without_labels_only_the_instance_metrics_come():
    images, texts, pairs, _ = problem(1)
    result = evaluate(images, texts, pairs, bootstrap=2)
    assert all(key.startswith("instance/") for key in result.metrics)
    assert not result.curves


def test_every_number_has_interval_count_and_definition():
    images, texts, pairs, labels = codes(1)
    result = evaluate(images, texts, pairs, labels=labels, similarity="hamming", bootstrap=200)
    assert result.metrics.keys() == result.intervals.keys() == result.queries.keys() == result.definitions.keys()
    for key, value in result.metrics.items():
        low, high = result.intervals[key]
        assert low <= high
        if "chance" in key:
            assert low == high == value
        else:
            assert result.metrics[key.replace("2t/", "2t/chance/").replace("2i/", "2i/chance/")] >= 0
    assert "ties: expected" in result.definitions["instance/i2t/R@10"]
    assert "relevant items among them" in result.definitions["category/i2t/mAP@10"]


def test_bounds_enclose_ranks_recalls_and_whole_rankings():
    images, texts, pairs, labels = codes(11, bits=8)
    result = evaluate(images, texts, pairs, labels=labels, similarity="hamming", bootstrap=2)
    rules = {
        rule: evaluate(images, texts, pairs, labels=labels, similarity="hamming", bootstrap=2, ties=rule)
        for rule in ("pessimistic", "optimistic")
    }
    for key, (worst, best) in result.tie_bounds.items():
        assert rules["pessimistic"].metrics[key] == worst
        assert rules["optimistic"].metrics[key] == best
        if "@N" in key or "/R@" in key or "MRR" in key or "nDCG" in key:
            assert worst <= result.metrics[key] <= best
        if "MeanR" in key:
            assert best <= result.metrics[key] <= worst
    assert result.tie_bounds


def test_chance_is_what_constant_scores_reach():
    _, texts, pairs, labels = problem(12)
    flat = np.zeros((len(labels), len(texts)))
    for options in ({}, {"ap": "r", "recall": "fraction"}, {"ap": "min_k_r"}):
        result = evaluate_scores(i2t=flat, t2i=flat.T, correspondence=pairs, labels=labels, bootstrap=2, **options)
        for key, value in result.metrics.items():
            if "chance" not in key and "MedR" not in key:
                where, _, metric = key.rpartition("/")
                assert value == pytest.approx(result.metrics[f"{where}/chance/{metric}"], abs=1e-12)


def test_the_median_rank_of_chance_is_the_middle_of_random_orders():
    generator = np.random.default_rng(0)
    pairs = Correspondence(np.repeat(np.arange(30), 3))
    scores = generator.random((30, 90))
    result = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, bootstrap=2)
    ranks = generator.random((4000, 90)).argsort(axis=1)[:, :3].min(axis=1) + 1
    assert result.metrics["instance/i2t/chance/MedR"] == np.median(ranks)
    assert result.metrics["instance/t2i/chance/MedR"] == 15


def test_radius_curves_equal_the_pure_function():
    images, texts, pairs, labels = codes(13, bits=8)
    result = evaluate(images, texts, pairs, labels=labels, similarity="hamming", bootstrap=2)
    distances = torch.from_numpy((8 - images.astype(int) @ texts.T) // 2)
    relevant = torch.from_numpy(CategoryRetrieval(labels, InstanceRetrieval(pairs, len(images))).relevant("i2t", 0, 13))
    precision, recall = precision_recall_within_radius(distances, relevant, 8)
    np.testing.assert_allclose(result.curves["category/i2t"].precision, precision.mean(dim=0), atol=1e-12)
    np.testing.assert_allclose(result.curves["category/i2t"].recall, recall.mean(dim=0), atol=1e-12)


def test_folds_are_galleries_of_their_own():
    images, texts, pairs, labels = problem(14, images=12)
    result = evaluate(images, texts, pairs, labels=labels, folds=3, bootstrap=20)
    parts = []
    for first in (0, 4, 8):
        mine = (pairs.caption_to_image >= first) & (pairs.caption_to_image < first + 4)
        inside = Correspondence(pairs.caption_to_image[mine] - first)
        parts.append(
            evaluate(images[first : first + 4], texts[mine], inside, labels=labels[first : first + 4], bootstrap=2)
        )
    for key, value in result.metrics.items():
        assert value == pytest.approx(np.mean([part.metrics[key] for part in parts]))
    assert sorted(result.per_query["t2i"].rows) == list(range(len(texts)))
    np.testing.assert_array_equal(result.per_query["t2i"].images, pairs.caption_to_image[result.per_query["t2i"].rows])
    assert "mean of 3 folds" in result.definitions["instance/i2t/R@1"]
    scores = evaluate_scores(
        i2t=images @ texts.T, t2i=texts @ images.T, correspondence=pairs, labels=labels, folds=3, bootstrap=2
    )
    inner = evaluate(images, texts, pairs, labels=labels, folds=3, bootstrap=2, similarity="inner")
    same(scores, inner, exact=False)


def test_matrices_may_be_mapped_from_disk_and_need_not_agree(tmp_path):
    images, texts, pairs, labels = problem(15)
    generator = np.random.default_rng(15)
    scores = {"i2t": images @ texts.T, "t2i": generator.standard_normal((len(texts), len(images))).astype(np.float32)}
    mapped = {}
    for name, matrix in scores.items():
        mapped[name] = np.memmap(tmp_path / name, dtype=np.float32, mode="w+", shape=matrix.shape)
        mapped[name][:] = matrix
    result = evaluate_scores(**mapped, correspondence=pairs, labels=labels, bootstrap=2, block=4)
    same(result, evaluate_scores(**scores, correspondence=pairs, labels=labels, bootstrap=2))
    both = evaluate_scores(i2t=scores["i2t"], t2i=scores["i2t"].T, correspondence=pairs, labels=labels, bootstrap=2)
    assert result.metrics["instance/i2t/R@1"] == both.metrics["instance/i2t/R@1"]
    assert result.metrics["instance/t2i/MeanR"] != both.metrics["instance/t2i/MeanR"]
    only = evaluate_scores(i2t=scores["i2t"], t2i=None, correspondence=pairs, bootstrap=2)
    assert all("/i2t/" in key for key in only.metrics)


@pytest.mark.parametrize("fill", [-100.0, -np.inf])
def test_cells_that_a_reranking_did_not_score_leave_the_whole_ranking_out(fill):
    generator = np.random.default_rng(16)
    scores = generator.standard_normal((40, 40)).astype(np.float32)
    labels = generator.random((40, 5)) < 0.4
    reranked = np.full_like(scores, fill)
    top = np.argsort(-scores, axis=1)[:, :12]
    np.put_along_axis(reranked, top, np.take_along_axis(scores, top, axis=1), axis=1)
    pairs = Correspondence(range(40))
    result = evaluate_scores(i2t=reranked, t2i=scores.T, correspondence=pairs, labels=labels, bootstrap=2)
    assert "category/i2t/mAP@10" in result.metrics
    for metric in ("mAP@100", "mAP@N", "PR@0.5", "chance/mAP@N"):
        assert f"category/i2t/{metric}" not in result.metrics
        assert f"category/t2i/{metric}" in result.metrics
    assert any("mAP@N" in note and "not applicable" in note and "12 a query" in note for note in result.notes)
    assert "N" not in result.per_query["i2t"].average_precision


def test_scores_in_the_wrong_orientation_are_refused_not_turned():
    images, texts, pairs, labels = problem(17)
    scores = images @ texts.T
    for wrong in (
        {"i2t": scores.T, "t2i": scores.T},
        {"i2t": scores, "t2i": scores},
        {"i2t": scores[:, 1:], "t2i": None},
    ):
        with pytest.raises(DataError, match="scores have shape"):
            evaluate_scores(**wrong, correspondence=pairs, labels=labels)
    for i2t, t2i in ((scores, scores), (scores.T, None), (None, scores)):
        with pytest.raises(DataError, match="looks transposed"):
            evaluate_scores(i2t=i2t, t2i=t2i, correspondence=pairs)


def test_holes_are_named_with_side_row_and_number():
    images, texts, pairs, _ = problem(18)
    for value in (np.nan, np.inf, -np.inf):
        broken = texts.copy()
        broken[[2, 5], 1] = value
        for similarity in ("cosine", "inner", "euclidean"):
            with pytest.raises(DataError, match=r"2 of \d+ texts hold NaN or infinite values, first at rows 2, 5"):
                evaluate(images, broken, pairs, similarity=similarity)
    scores = images @ texts.T
    scores[3, 0] = np.nan
    with pytest.raises(DataError, match=r"i2t scores hold NaN .* row 3"):
        evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"texts": np.zeros((5, 7), np.float32)}, DataError, "8 dimensions and texts 7"),
        ({"texts": np.zeros((5, 8))}, DataError, "float32 and texts float64"),
        ({"images": np.zeros((0, 8), np.float32)}, DataError, "not empty"),
        ({"images": np.zeros(8, np.float32)}, DataError, "shape"),
        ({"images": np.array([["a"] * 8] * 3)}, DataError, "dtype"),
        ({"correspondence": Correspondence([0, 1, 2, 2, 9])}, DataError, "image row 9"),
        ({"correspondence": Correspondence([0, 1])}, DataError, "2 captions"),
        ({"labels": np.ones((4, 2))}, DataError, "images x classes"),
        ({"labels": np.full((3, 2), 0.5)}, DataError, "image 0 hold values other"),
        ({"similarity": "dot"}, UsageError, "similarity must be one of"),
        ({"similarity": "hamming"}, DataError, "images row 0 holds"),
        ({"similarity": "hamming", "bits": 0}, UsageError, "bits=0"),
        ({"bits": 64}, UsageError, "hamming"),
        ({"ties": "random"}, UsageError, "ties='random' must be one of"),
        ({"ap": "mean"}, UsageError, "ap='mean' must be one of"),
        ({"tasks": ("both",)}, UsageError, r"tasks=\('both',\) must be a list of one or more of instance, category"),
        ({"tasks": ("category",), "labels": None}, UsageError, "labels"),
        ({"recall_at": (0,)}, UsageError, "recall_at"),
        ({"map_at": (-5,)}, UsageError, "map_at"),
        ({"folds": 0}, UsageError, "folds=0"),
        ({"folds": 4}, UsageError, "folds=4"),
        ({"block": 0}, UsageError, "block=0"),
        ({"memory_limit": 1}, UsageError, "memory_limit=1"),
        ({"bootstrap": -1}, UsageError, "bootstrap=-1 must be a whole number of at least 0"),
        ({"bootstrap": 1.5}, UsageError, "bootstrap=1.5"),
        ({"seed": -1}, UsageError, "seed=-1"),
        ({"seed": "a"}, UsageError, "seed='a'"),
        ({"shard": (2, 2)}, UsageError, "shard"),
        ({"tasks": None}, UsageError, "tasks=None must be a list"),
        ({"tasks": "instance"}, UsageError, "tasks='instance' must be a list"),
        ({"recall_at": 5}, UsageError, "recall_at=5 must be a list of different whole numbers"),
        ({"map_at": (5, 5)}, UsageError, "map_at"),
        ({"folds": None}, UsageError, "folds=None must be a whole number"),
        ({"block": "1"}, UsageError, "block='1' must be None or a whole number"),
        ({"seed": 99999999999999999999}, UsageError, "seed=99999999999999999999 must be a whole number from 0 to"),
        ({"ties": "random", "folds": 0}, UsageError, "ties='random' .*; folds=0"),
        ({"tie": "index"}, UsageError, "unknown option tie; did you mean ties?"),
        ({"engine": "compiled", "device": "meta"}, UsageError, "engine='compiled' runs on the CPU"),
        ({"labels": np.array([[0], [1], [1]])}, DataError, "single column of numbers"),
        ({"device": "cuda"}, UsageError, "CUDA"),
        ({"device": "tpu7"}, UsageError, "device='tpu7'"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_sentence(change, error, message):
    if change.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    generator = np.random.default_rng(0)
    arguments = {
        "images": generator.standard_normal((3, 8)).astype(np.float32),
        "texts": generator.standard_normal((5, 8)).astype(np.float32),
        "correspondence": Correspondence([0, 1, 2, 2, 0]),
        "labels": np.ones((3, 2), bool),
        "bootstrap": 2,
    } | change
    with pytest.raises(error, match=message) as caught:
        evaluate(**arguments)
    assert "\n" not in str(caught.value)


def test_packed_codes_need_bits_and_zeros_beside_signs_are_no_codes():
    packed = np.array([[7], [255]], dtype=np.uint8)
    with pytest.raises(DataError, match="packed codes need bits="):
        evaluate(packed, packed, Correspondence([0, 1]), similarity="hamming")
    with pytest.raises(UsageError, match="bits=16 does not fit"):
        evaluate(packed, packed, Correspondence([0, 1]), similarity="hamming", bits=16)
    mixed = np.array([[1, -1, 0, 1], [1, 1, -1, 1]], dtype=np.float32)
    with pytest.raises(DataError, match=r"row 0 holds 0\.0 at bit 2; codes hold only -1 and 1"):
        evaluate(mixed, mixed, Correspondence([0, 1]), similarity="hamming")


def test_memory_is_predicted_below_the_limit_and_logged(caplog):
    everything, ranks = EvaluationOptions(), EvaluationOptions(tasks=("instance",))
    for images, texts, options in ((1000, 5000, everything), (5000, 25_000, everything), (100_000, 500_000, ranks)):
        for limit in (64 * 2**20, 512 * 2**20):
            if limit < 512 * 2**20 and texts > 25_000:
                continue
            plan = plan_memory(images, texts, 256, np.dtype(np.float32), replace(options, memory_limit=limit))
            assert plan.predicted_bytes <= limit
            assert min(plan.i2t_rows, plan.t2i_rows) >= 1
    images, texts, pairs, _ = problem(1)
    with caplog.at_level(logging.DEBUG, "fico.evaluation.engine"):
        evaluate(images, texts, pairs, bootstrap=2)
    assert [record.levelname for record in caplog.records if "MiB" in record.message] == ["DEBUG"]
    caplog.clear()
    with caplog.at_level(logging.INFO, "fico.evaluation.engine"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fico.evaluation.engine._LOGGED_BYTES", 1)  # a large evaluation tells its size to everybody
        evaluate(images, texts, pairs, bootstrap=2)
    assert "MiB" in caplog.text


def test_values_per_query_are_those_of_the_pure_functions():
    images, texts, pairs, labels = problem(19)
    scores = torch.from_numpy(images @ texts.T)
    result = evaluate(images, texts, pairs, labels=labels, similarity="inner", bootstrap=2)
    instance = InstanceRetrieval(pairs, len(images))
    relevant = torch.from_numpy(CategoryRetrieval(labels, instance).relevant("i2t", 0, len(images)))
    for cut, k in (("10", 10), ("100", 100), ("N", None)):
        wanted = average_precision(scores, relevant, k).numpy()
        np.testing.assert_allclose(result.per_query["i2t"].average_precision[cut], wanted, atol=1e-12)
    assert result.per_query["i2t"].values["category/mAP@10"].shape == (len(images),)
    assert replace(result, notes=()).metrics is result.metrics


def test_a_progress_bar_changes_no_number():
    images, texts, pairs, labels = problem(20)
    quiet = evaluate(images, texts, pairs, labels=labels, bootstrap=2)
    same(quiet, evaluate(images, texts, pairs, labels=labels, bootstrap=2, progress=True))


def test_code_sources_are_what_hamming_evaluates():
    images, texts, _, _ = codes(1)
    plan = plan_memory(len(images), len(texts), images.shape[1], np.dtype(np.float32), EvaluationOptions())
    assert isinstance(embedding_source(images, texts, "hamming", None, plan, None), CodeSource)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_any_size_keep_their_order(dtype):
    """Scores from the smallest number to the largest, both zeros, exact ties and minus infinity: as their ranks do."""
    generator = np.random.default_rng(21)
    limits = np.finfo(dtype)
    values = np.array([limits.max, 1e30, 300, 2, 1, limits.tiny, limits.smallest_subnormal, 0], dtype=dtype)
    values = np.concatenate([values, -values, [-np.inf]]).astype(dtype)
    scores = generator.choice(values, size=(30, 30))
    scores[10:20] = generator.choice(values[3:5], size=(10, 30))
    ranks = np.unique(scores, return_inverse=True)[1].reshape(scores.shape).astype(dtype)
    labels, pairs = generator.random((30, 9)) < 0.2, Correspondence(generator.permutation(30))
    for ties in ("expected", "index"):
        options = {"correspondence": pairs, "labels": labels, "ties": ties, "bootstrap": 2}
        same(
            evaluate_scores(i2t=scores, t2i=scores.T, **options),
            evaluate_scores(i2t=ranks, t2i=ranks.T, **options),
        )


def test_a_plain_list_of_pairs_is_refused_by_name():
    with pytest.raises(UsageError, match=r"correspondence is a list; give fico.Correspondence"):
        evaluate(np.eye(2), np.eye(2), [0, 1])


@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean", "hamming"])
def test_the_torch_engine_gives_the_whole_result_of_the_kernels(similarity):
    images, texts, pairs, labels = codes(23) if similarity == "hamming" else problem(23)
    options = {"labels": labels, "similarity": similarity, "folds": 2, "block": 3, "bootstrap": 20}
    wanted = evaluate(images, texts, pairs, **options, engine="compiled")
    whole = evaluate(images, texts, pairs, **options, engine="torch", device="cpu")
    merged = merge_results([evaluate(images, texts, pairs, **options, engine="torch", shard=(n, 2)) for n in (0, 1)])
    for got in (whole, merged):
        same(wanted, got, exact=False)
        assert got.notes == wanted.notes
        assert got.curves.keys() == wanted.curves.keys()
        for key, curve in wanted.curves.items():
            np.testing.assert_array_equal(got.curves[key].radius, curve.radius)
            np.testing.assert_allclose(got.curves[key].precision, curve.precision, atol=1e-12)
            np.testing.assert_allclose(got.curves[key].recall, curve.recall, atol=1e-12)
    assert bool(wanted.curves) == (similarity == "hamming")


def test_options_come_as_one_object_as_keywords_or_both():
    images, texts, pairs, labels = problem(24)
    options = EvaluationOptions(ties="index", map_at=(3,), bootstrap=2)
    wanted = evaluate(images, texts, pairs, labels=labels, ties="index", map_at=(3,), bootstrap=2)
    same(wanted, evaluate(images, texts, pairs, labels=labels, options=options))
    scores = images @ texts.T
    mixed = evaluate_scores(i2t=scores, t2i=None, correspondence=pairs, options=options, tasks=["instance"], map_at=[5])
    assert mixed.state.options == EvaluationOptions(tasks=("instance",), ties="index", map_at=(5,), bootstrap=2)


def test_without_resamples_there_are_no_intervals():
    images, texts, pairs, labels = problem(25)
    wanted = evaluate(images, texts, pairs, labels=labels, bootstrap=2)
    got = evaluate(images, texts, pairs, labels=labels, bootstrap=0)
    same(wanted, got)
    assert not got.intervals


def test_a_result_prints_as_a_table_of_both_directions():
    images, texts = np.eye(2), np.array([[1.0, 0.1], [0.9, 0.0], [0.8, 0.1]])
    pairs = Correspondence([0, 0, 1])
    assert str(evaluate(images, texts, pairs, recall_at=(1, 100), bootstrap=50)) == (
        "                      i2t  95 % interval  chance     t2i  95 % interval  chance\n"
        "instance R@1       1.0000    1.000-1.000  0.5000  0.6667    0.000-1.000  0.5000\n"
        "instance R@100     1.0000    1.000-1.000  1.0000  1.0000    1.000-1.000  1.0000\n"
        "instance MedR         1.0        1.0-1.0     1.0     1.0        1.0-2.0     1.0\n"
        "instance MeanR        1.0        1.0-1.0     1.7     1.3        1.0-2.0     1.5\n"
        "instance MRR       1.0000    1.000-1.000  0.7222  0.8333    0.500-1.000  0.7500\n"
        "instance nDCG@10   1.0000    1.000-1.000  0.7907  0.8770    0.631-1.000  0.8155\n"
        "hubness i2t: skew of N_3 0.00, never found 0.0 %, Robin Hood 0.0 %\n"
        "hubness t2i: skew of N_2 0.00, never found 0.0 %, Robin Hood 0.0 %\n"
        "note: instance i2t: R@100 reaches beyond the gallery of 3\n"
        "note: instance t2i: R@100 reaches beyond the gallery of 2"
    )
    only = evaluate_scores(i2t=None, t2i=texts @ images.T, correspondence=pairs, recall_at=(1,), bootstrap=0)
    assert str(only).splitlines()[1] == (
        "instance R@1            -                         0.6667                 0.5000"
    )
