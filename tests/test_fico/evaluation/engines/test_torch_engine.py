"""The torch engine: the numbers of the compiled kernels on adversarial inputs, few operations, memory as predicted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fico.bench.metrics.evaluation import problem
from fico.bench.metrics.operations import OperationCount, count_operations
from fico.errors import UsageError
from fico.evaluation.engines.device_memory import plan_device
from fico.evaluation.evaluate import evaluate, evaluate_scores, merge_results
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import InstanceRetrieval
from fico.types import Correspondence

CPU = torch.device("cpu")


def agree(first, second, tolerance=1e-10):
    """The whole of two results: numbers, bounds, intervals, curves, counts, definitions and notes."""
    assert first.notes == second.notes
    assert first.definitions == second.definitions
    assert first.queries == second.queries
    for name in ("metrics", "intervals", "tie_bounds"):
        mine, theirs = getattr(first, name), getattr(second, name)
        assert mine.keys() == theirs.keys(), name
        for key, value in mine.items():
            np.testing.assert_allclose(value, theirs[key], rtol=tolerance, atol=tolerance, err_msg=f"{name} {key}")
    assert first.curves.keys() == second.curves.keys()
    for key, curve in first.curves.items():
        np.testing.assert_allclose(curve.precision, second.curves[key].precision, atol=tolerance)
        np.testing.assert_allclose(curve.recall, second.curves[key].recall, atol=tolerance)


def random_inputs(generator):
    """Embeddings with ties, uneven captions, labels with empty rows; all exact in any order of additions."""
    images, captions = int(generator.integers(4, 16)), int(generator.choice([1, 3, 24]))  # 17: too many to count
    rows = np.repeat(np.arange(images), generator.integers(0, captions + 1, images))
    rows = generator.permutation(np.append(rows, 0))
    classes = int(generator.choice([1, 7, 130, 1000]))
    labels = generator.random((images, classes)) < generator.choice([0.5, 2, 10]) / classes
    values = int(generator.choice([1, 2, 5, 300]))  # whole numbers: few of them tie, many hardly
    sides = [generator.integers(-values, values + 1, (n, 6)).astype(np.float32) for n in (images, len(rows))]
    return sides, Correspondence(rows), labels


def random_options(generator):
    return {
        "ties": str(generator.choice(["expected", "optimistic", "pessimistic", "index"])),
        "ap": str(generator.choice(["hits", "min_k_r", "r"])),
        "recall": str(generator.choice(["any", "fraction"])),
        "empty": str(generator.choice(["zero", "skip"])),
        "map_at": [(10, 100), (1, 4, 5000), ()][generator.integers(3)],
        "recall_at": [(1, 5, 10), (2, 7, 1000)][generator.integers(2)],
        "folds": int(generator.choice([1, 2])),
        "block": [None, 7][generator.integers(2)],
        "bootstrap": 10,
    }


@pytest.mark.parametrize("seed", range(15))
def test_embeddings_give_the_result_of_the_kernels(seed):
    generator = np.random.default_rng(seed)
    sides, pairs, labels = random_inputs(generator)
    options = random_options(generator) | {"labels": labels if seed % 5 else None}
    options["similarity"] = ["inner", "euclidean"][seed % 2]
    wanted = evaluate(*sides, pairs, engine="compiled", **options)
    agree(wanted, evaluate(*sides, pairs, engine="torch", **options))
    if np.abs(sides[0]).max() < 256:  # whole numbers that half precision holds
        for dtype in (torch.bfloat16, torch.float16):
            halves = [torch.from_numpy(side).to(dtype) for side in sides]
            agree(wanted, evaluate(*halves, pairs, engine="torch", **options))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
def test_duplicates_tie_and_far_rows_are_scaled_as_by_the_kernels(similarity, seed):
    """Rows that repeat others, under cosine in other lengths, rows of zeros, and lengths at the ends of the format."""
    generator = np.random.default_rng(300 + seed)
    _, pairs, labels = random_inputs(generator)
    sides = [generator.standard_normal((n, 50)) for n in (len(labels), len(pairs.caption_to_image))]
    for side in sides:
        copies = generator.integers(0, len(side), (2, max(1, len(side) // 2)))
        side[copies[0]] = side[copies[1]] * (2 if similarity == "cosine" else 1)
        side[0] = 0
    kind, power = ((np.float64, 0), (np.float64, 600), (np.float32, -120))[seed % 3]
    sides = [np.ldexp(side.astype(kind), power) for side in sides]
    options = random_options(generator) | {"labels": labels, "similarity": similarity}
    agree(*(evaluate(*sides, pairs, engine=engine, **options) for engine in ("compiled", "torch")))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_of_half_precision_are_accumulated_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(60, 512, generator=generator).to(dtype)
    texts = images.repeat_interleave(3, dim=0) + 12 * torch.randn(180, 512, generator=generator).to(dtype)
    pairs = Correspondence(np.arange(180) // 3)
    for similarity in ("inner", "euclidean"):
        got, wanted = (
            evaluate(*sides, pairs, similarity=similarity, engine="torch", bootstrap=0)
            for sides in ((images, texts), (images.double(), texts.double()))
        )
        agree(wanted, got)
        assert 0.1 < got.metrics["instance/t2i/R@10"] < 0.9


@pytest.mark.parametrize("similarity", ["cosine", "hamming"])
def test_the_shards_of_processes_are_the_whole(similarity):
    data = tied_problem(30, 150, 8, 16)
    sides = (data.image_codes, data.text_codes) if similarity == "hamming" else (data.images, data.texts)
    options = {"labels": data.labels, "similarity": similarity, "engine": "torch", "bootstrap": 10, "block": 8}
    pairs = Correspondence(data.pairs)
    shards = [evaluate(*sides, pairs, shard=(rank, 3), **options) for rank in range(3)]
    assert sum(len(shard.per_query["t2i"].rows) for shard in shards) == 150
    agree(evaluate(*sides, pairs, **options), merge_results(shards))


@pytest.mark.parametrize("seed", range(8))
def test_codes_give_the_result_of_the_kernels(seed):
    generator = np.random.default_rng(100 + seed)
    bits = int(generator.choice([1, 8, 70]))
    (images, texts), pairs, labels = random_inputs(generator)
    planes = generator.standard_normal((6, bits))
    codes = [np.where(side @ planes > 0, 1, -1).astype(np.int8) for side in (images, texts)]
    options = random_options(generator) | {"labels": labels, "similarity": "hamming"}
    agree(evaluate(*codes, pairs, engine="compiled", **options), evaluate(*codes, pairs, engine="torch", **options))
    packed = [np.packbits(side > 0, axis=1, bitorder="little") for side in codes]
    agree(*(evaluate(*packed, pairs, engine=engine, bits=bits, **options) for engine in ("compiled", "torch")))


@pytest.mark.parametrize("seed", range(8))
def test_score_matrices_give_the_result_of_the_kernels(seed):
    """With the fill values of a re-ranking, among which relevant items are, and in half precision."""
    generator = np.random.default_rng(200 + seed)
    (images, texts), pairs, labels = random_inputs(generator)
    scores = images @ texts.T / 16  # within the range of float16
    if seed % 3:
        fill = [-100.0, -np.inf][seed % 2]
        scores[generator.random(scores.shape) < 0.8] = fill
    matrix = torch.from_numpy(scores)
    matrix = matrix.to((torch.bfloat16, torch.float16, torch.float32, torch.float64)[seed % 4])
    options = random_options(generator) | {"labels": labels, "correspondence": pairs}
    got = [evaluate_scores(i2t=matrix, t2i=matrix.T, engine=engine, **options) for engine in ("compiled", "torch")]
    agree(*got)


def test_a_collapsed_encoder_is_at_chance_on_a_large_gallery():
    """One tied block of 40,000: the closed forms stay exact where logarithms of factorials would not."""
    pairs = Correspondence(np.arange(40_000) // 2000)
    images, texts = np.ones((20, 2), dtype=np.float32), np.ones((40_000, 2), dtype=np.float32)
    labels = np.eye(20, dtype=bool)[:, :1].repeat(2, axis=1)
    labels[::3, 1] = True
    got = evaluate(images, texts, pairs, labels=labels, engine="torch", bootstrap=0, memory_limit=2**31)
    for key, value in got.metrics.items():
        if "/chance/" not in key and "MedR" not in key:
            where, _, metric = key.rpartition("/")
            assert value == pytest.approx(got.metrics[f"{where}/chance/{metric}"], rel=1e-9), key


def tied_problem(*sizes):
    """Whole numbers: every cut-off lies inside a block of equal scores."""
    data = problem(*sizes)
    return replace(data, images=np.round(0.7 * data.images), texts=np.round(0.7 * data.texts))


def collapsed_problem(*sizes):
    """One point: every row is a duplicate, every score ties."""
    data = problem(*sizes)
    return replace(data, images=np.ones_like(data.images), texts=np.ones_like(data.texts))


@pytest.mark.parametrize(
    ("work", "make"), [("float", problem), ("float", tied_problem), ("float", collapsed_problem), ("codes", problem)]
)
def test_an_evaluation_of_5k_25k_in_8_gib_dispatches_at_most_2000_operations(work, make):
    small, large = (count_operations(make, work, 5_000, 25_000, scale=scale, dim=64) for scale in (50, 20))
    assert small.blocks == large.blocks <= 4
    assert large.operations <= 2000
    assert large.operations <= 1.25 * small.operations  # the formulas that are needed, not the size


def test_operations_grow_with_the_blocks():
    few, many = (count_operations(problem, "float", 5_000, 25_000, scale=50, room=room) for room in (2**33, 2**31))
    assert many.blocks >= 3 * few.blocks
    assert many.operations <= many.blocks / few.blocks * few.operations


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ("distinct", {}),
        ("distinct", {"ties": "index"}),
        ("distinct", {"tasks": ("instance",)}),
        ("tied", {}),
        ("tied", {"recall": "fraction", "map_at": (3000,)}),
        ("codes", {}),
        ("codes", {"ties": "index"}),
        ("double", {}),
        ("half", {}),
        ("half", {"tasks": ("instance",)}),
    ],
)
@pytest.mark.parametrize("density", [0.1, 1.0])
def test_memory_stays_below_the_prediction_and_the_limit(inputs, options, density):
    generator = np.random.default_rng(5)
    images, texts, limit = 300, 1500, 16 * 2**20
    rows, labels = np.arange(texts) // 5, generator.random((images, 1)) < density
    kinds = {"distinct": np.float32, "tied": np.float32, "codes": np.int8, "double": np.float64, "half": np.float16}
    sides = [generator.standard_normal((n, 16)).astype(np.float64) for n in (images, texts)]
    sides = [np.sign(side) if inputs in ("tied", "codes") else side for side in sides]
    sides = [side.astype(kinds[inputs]) for side in sides]
    chosen = EvaluationOptions(memory_limit=limit, bootstrap=0, **options)
    instance = InstanceRetrieval(Correspondence(rows), images)
    dtype = np.dtype(np.float64 if inputs == "double" else np.float32)
    plan = plan_device(instance, 16, dtype, chosen, CPU, is_codes=inputs == "codes", classes=1)
    assert plan.predicted_bytes <= limit
    similarity = "hamming" if inputs == "codes" else "inner"
    with OperationCount() as count:
        evaluate(*sides, Correspondence(rows), labels=labels, similarity=similarity, options=chosen, engine="torch")
    assert count.peak_bytes <= plan.predicted_bytes
    assert count.peak_bytes >= plan.predicted_bytes / 20


def test_memory_that_holds_no_row_is_refused():
    generator = np.random.default_rng(0)
    sides = [generator.standard_normal((n, 4)).astype(np.float32) for n in (3, 2000)]
    with pytest.raises(UsageError, match=r"100000 bytes on cpu do not hold .* raise memory_limit"):
        evaluate(*sides, Correspondence(np.zeros(2000, int)), engine="torch", memory_limit=100_000)


def test_what_a_training_chose_for_its_products_is_left_as_it_was():
    torch.set_float32_matmul_precision("medium")
    try:
        evaluate(np.eye(2), np.eye(2), Correspondence([0, 1]), engine="torch", bootstrap=0)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean", "hamming"])
def test_a_gpu_gives_the_result_of_the_kernels_within_its_memory(similarity):
    data = tied_problem(200, 1000, 16, 64)
    sides = [data.image_codes, data.text_codes] if similarity == "hamming" else [data.images, data.texts]
    pairs, options = Correspondence(data.pairs), {"labels": data.labels, "similarity": similarity, "bootstrap": 10}
    if similarity == "cosine":  # quotients may round otherwise there: codes have equal norms
        sides = [np.sign(side) + (side == 0) for side in sides]
    wanted = evaluate(*sides, pairs, engine="compiled", **options)
    there = [torch.from_numpy(side).cuda() for side in sides]
    torch.cuda.reset_peak_memory_stats()
    before, limit = torch.cuda.memory_allocated(), 64 * 2**20
    agree(wanted, evaluate(*there, pairs, memory_limit=limit, **options))
    assert torch.cuda.max_memory_allocated() - before <= limit
