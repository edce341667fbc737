"""Embeddings at the ends of their format, duplicates among them, and encoders that have collapsed, on both engines."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fico import Correspondence, evaluate, evaluate_scores
from fico.evaluation.evaluate import merge_results
from fico.metrics.kernels import floats
from fico.similarity import Side
from fico.util.duplicates import are_alike, duplicate_rows

IMAGES, PER_IMAGE = 20, 5
PAIRS = Correspondence(np.repeat(np.arange(IMAGES), PER_IMAGE))


@pytest.fixture(params=["compiled", "torch"])
def engine(request):
    return request.param


def noisy(seed=0, dim=16):
    """Embeddings of moderate quality, and labels."""
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((IMAGES, dim))
    texts = np.repeat(images, PER_IMAGE, axis=0) + generator.standard_normal((IMAGES * PER_IMAGE, dim))
    return images, texts, generator.random((IMAGES, 4)) < 0.4


def values(images, texts, labels=None, **options):
    return evaluate(images, texts, PAIRS, labels=labels, **{"bootstrap": 2, **options}).metrics


@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize(
    ("dtype", "power"), [("f8", p) for p in (-1020, -600, -400, 400, 600, 1018)] + [("f4", -120), ("f4", 120)]
)
def test_a_power_of_two_changes_no_metric(similarity, dtype, power, engine):
    images, texts, labels = noisy()
    images, texts = images.astype(dtype), texts.astype(dtype)
    wanted = values(images, texts, labels, similarity=similarity, engine="compiled")
    scaled = [np.ldexp(side, power) for side in (images, texts)]
    assert values(*scaled, labels, similarity=similarity, engine=engine) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("similarity", ["cosine", "inner"])
def test_each_side_may_have_its_own_power_of_two(similarity, engine):
    images, texts, labels = noisy(1)
    wanted = values(images, texts, labels, similarity=similarity)
    for first, second in ((600, -600), (-600, 1000), (0, 700)):
        got = values(np.ldexp(images, first), np.ldexp(texts, second), labels, similarity=similarity, engine=engine)
        assert got == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_single_rows_far_from_the_others_keep_their_direction(dtype, engine):
    images, texts, labels = noisy(2)
    images, texts = images.astype(dtype), texts.astype(dtype)
    wanted = values(images, texts, labels)
    power = 100 if dtype == "f4" else 900
    for rows in ((0,), (0, 3)):
        far = [side.copy() for side in (images, texts)]
        for n, row in enumerate(rows):
            for side in far:
                side[row] = np.ldexp(side[row], power * (-1) ** n)
        assert values(*far, labels, engine=engine) == pytest.approx(wanted, abs=1e-12)


def test_inner_products_of_long_and_short_items_keep_their_order(engine):
    items = np.ldexp(np.ones((3, 2)), np.array([[-500], [600], [0]]))
    result = evaluate(np.ones((3, 2)), items, Correspondence([0, 1, 2]), similarity="inner", bootstrap=0, engine=engine)
    assert result.per_query["i2t"].ranks.tolist() == [3, 1, 2]


def test_rows_of_zeros_beside_tiny_ones_match_nothing(engine):
    items = np.ldexp(np.ones((3, 2), dtype=np.float32), -140) * np.float32([[2], [0], [1]])
    result = evaluate(
        np.ones((3, 2), np.float32), items, Correspondence([0, 1, 2]), similarity="inner", bootstrap=0, engine=engine
    )
    assert result.per_query["i2t"].ranks.tolist() == [1, 3, 2]


def test_a_kernel_survives_scores_that_are_no_numbers():
    """No source gives such scores; a kernel that met them would write beyond its arrays."""
    listed = np.zeros((3, 7), dtype=np.int64)
    floats.count_positives(
        np.full((1, 6), np.nan), np.array([0, 5]), np.arange(5), *listed[:, 1:6], np.zeros(1, dtype=bool)
    )
    assert not listed[:, [0, 6]].any()


def tied(result):
    """Expected metrics are those of chance, and R@1 lies between 0 and 1."""
    for direction in ("i2t", "t2i"):
        for name in ("R@1", "R@10", "MeanR"):
            key = f"instance/{direction}/{name}"
            assert result.metrics[key] == pytest.approx(result.metrics[f"instance/{direction}/chance/{name}"]), key
        assert result.tie_bounds[f"instance/{direction}/R@1"] == (0, 1)


@pytest.mark.parametrize(("threads", "engine"), [(1, "compiled"), (2, "compiled"), (3, "compiled"), (2, "torch")])
@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
@pytest.mark.parametrize("dim", [97, 300, 512])
def test_a_collapsed_encoder_reaches_chance(similarity, dim, threads, engine):
    vector = np.random.default_rng(dim).standard_normal(dim).astype(np.float32)
    pairs = Correspondence(np.repeat(np.arange(101), 5))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for block in (None, 7):
            result = evaluate(
                np.tile(vector, (101, 1)), np.tile(vector, (505, 1)), pairs, similarity=similarity, bootstrap=0,
                block=block, engine=engine,
                memory_limit=2**29 if block is None else 2**22 if engine == "compiled" else 2**23,
            )  # fmt: skip
            tied(result)
    finally:
        torch.set_num_threads(before)
    assert any("all 101 images have the same embedding" in note for note in result.notes)
    assert any("all 505 texts have the same embedding" in note for note in result.notes)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_collinear_rows_reach_chance_under_cosine(dtype, engine):
    generator = np.random.default_rng(5)
    vector = generator.standard_normal(300)
    images, texts = ((generator.uniform(0.1, 9, (n, 1)) * vector).astype(dtype) for n in (101, 505))
    result = evaluate(images, texts, Correspondence(np.repeat(np.arange(101), 5)), bootstrap=0, engine=engine)
    tied(result)
    assert "all 101 images have the same embedding" in str(result)


@given(
    seed=st.integers(0, 1000),
    similarity=st.sampled_from(["cosine", "inner", "euclidean"]),
    engine=st.sampled_from(["compiled", "torch"]),
)
@settings(max_examples=30, deadline=None)
def test_duplicated_items_tie_with_their_originals(seed, similarity, engine):
    """Every caption twice: a caption and its copy tie, so the best and the worst rank differ by one or more."""
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((30, 77)).astype(np.float32)
    texts = generator.standard_normal((30, 77)).astype(np.float32)
    order = generator.permutation(60)
    doubled, owner = np.concatenate([texts, texts])[order], np.concatenate([np.arange(30), np.full(30, 30)])[order]
    images = np.concatenate([images, images[:1]])
    low, high = (
        evaluate(images, doubled, Correspondence(owner), similarity=similarity, ties=ties, bootstrap=0, engine=engine)
        .per_query["i2t"]
        .ranks[:30]
        for ties in ("pessimistic", "optimistic")
    )
    np.testing.assert_array_equal(low - high, 1)


def test_duplicates_are_found_by_value_and_by_direction():
    rows = np.array(
        [[1, 2, 3], [2, 4, 6], [-1, -2, -3], [1, 2, 3], [0, 0, 0], [0, -0.0, 0], [3, 6, 9]], dtype=np.float32
    )

    def pieces():
        yield 0, torch.from_numpy(rows[:4])
        yield 4, torch.from_numpy(rows[4:])

    for by_direction, wanted in ((False, [(3, 0), (5, 4)]), (True, [(1, 0), (3, 0), (5, 4), (6, 0)])):
        found = duplicate_rows(pieces, by_direction)
        assert list(zip(*(part.tolist() for part in found), strict=True)) == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_that_differ_in_signs_alone_are_told_apart(dtype):
    """All have the same probe; sums of products with whole-number weights would lose an even number of signs."""
    signs = torch.randint(0, 2, (500, 64), generator=torch.Generator().manual_seed(1)).to(dtype) * 2 - 1
    signs[:, [0, 21, 42, 63]] = 1
    rows = torch.cat([signs, signs[100:110]])
    found = duplicate_rows(lambda: iter([(0, rows)]), by_direction=True)
    assert [part.tolist() for part in found] == [list(range(500, 510)), list(range(100, 110))]


def test_rows_that_share_all_entries_but_one_are_no_duplicates():
    rows = np.ones((99, 1000), dtype=np.float32)
    rows[np.arange(1, 99), np.r_[1:50, 950:999]] = 2
    rows[:, 500] = 4  # the largest entry, by which all are divided
    pieces = [(0, torch.from_numpy(rows))]
    assert duplicate_rows(lambda: iter(pieces), by_direction=True)[0].tolist() == []
    assert not are_alike(lambda: iter(pieces), by_direction=True, tolerance=0.1)


def test_zero_vectors_are_counted_in_the_notes_and_match_nothing(engine):
    images, texts, _ = noisy(3)
    texts[:7] = 0
    result = evaluate(images, texts, PAIRS, bootstrap=0, engine=engine)
    assert "7 of 100 texts (7.0 %) are zero vectors, which match nothing; check the encoder" in result.notes
    zeros = evaluate(images * 0, texts, PAIRS, bootstrap=0, engine=engine)
    assert any("20 of 20 images (100.0 %) are zero vectors" in note for note in zeros.notes)
    tied(evaluate(images * 0, texts * 0, PAIRS, bootstrap=0, engine=engine))


def test_usual_embeddings_have_no_note_and_equal_codes_have_one(engine):
    images, texts, _ = noisy(4)
    assert (
        evaluate(images, texts, PAIRS, bootstrap=0, engine=engine).notes
        == evaluate_scores(i2t=images @ texts.T, t2i=texts @ images.T, correspondence=PAIRS, bootstrap=0).notes
    )
    ones = np.ones((IMAGES * PER_IMAGE, 16), dtype=np.int8)
    result = evaluate(ones[:IMAGES], ones, PAIRS, similarity="hamming", bootstrap=0, engine=engine)
    assert any("all 20 images have the same embedding" in note for note in result.notes)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_notes_on_collapse_come_from_both_engines_and_survive_a_merge(engine):
    images, texts, _ = noisy(5)
    shards = [
        evaluate(images * 0, texts, PAIRS, bootstrap=0, engine=engine, block=10, shard=(rank, 2)) for rank in (0, 1)
    ]
    for result in (*shards, merge_results(shards)):
        assert sum("zero vectors" in note for note in result.notes) == 1


def test_a_mapped_side_is_compared_in_pieces(tmp_path):
    """A side that is not kept is cast in pieces; its duplicates, powers of two and zeros are the same."""
    images, _, _ = noisy(6)
    rows = np.concatenate([images, images[::-1], images[:1] * 0]).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    for array in (rows * np.float32(1), np.ldexp(rows.astype(np.float64), 700)):
        whole = Side("images", array, "cosine", 2**30)
        parts = Side("images", np.load(tmp_path / "rows.npy", mmap_mode="r"), "cosine", 0)
        for mine, theirs in zip(whole.duplicates, parts.duplicates, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert (
            whole.note
            == parts.note
            == "1 of 41 images (2.4 %) are zero vectors, which match nothing; check the encoder"
        )
