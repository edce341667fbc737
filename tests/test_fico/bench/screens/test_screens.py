"""Candidates that a screen needs: against a loop, and the laws of the screens."""

import numpy as np
import pytest

from fico.bench.screens.screens import SCREENS, candidates_needed, main, measure
from fico.correspondence import Correspondence
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError

CAPTIONS = np.repeat(np.arange(40), 3)


def _store(folder, noise=0.6, **how):
    draws = np.random.default_rng(0)
    images = draws.normal(size=(40, 16)).astype(np.float32)
    texts = images[CAPTIONS] + noise * draws.normal(size=(120, 16)).astype(np.float32)
    if how:
        images, texts = np.where(images > 0, 1, -1)[:, :8], np.where(texts > 0, 1, -1)[:, :8]
    return EmbeddingStore.write(
        folder / "embeddings", images, texts, image_ids=[str(i) for i in range(40)],
        caption_ids=[str(i) for i in range(120)], correspondence=Correspondence(CAPTIONS), origin={"model": "m"}, **how,
    )  # fmt: skip


@pytest.mark.parametrize("fraction", [0.5, 0.9, 1.0])
def test_candidates_are_those_of_a_loop_over_ever_more_of_them(fraction):
    draws = np.random.default_rng(1)
    exact, codes = draws.normal(size=(30, 12)), draws.integers(4, size=(30, 12))
    relevant = draws.random((30, 12)) < 0.5
    hits = [row for row in range(30) if relevant[row, exact[row].argmax()]]
    for k in range(1, 13):
        kept = sum((codes[row] >= codes[row, exact[row].argmax()]).sum() <= k for row in hits)
        if kept >= fraction * len(hits):
            break
    assert candidates_needed(codes, exact, relevant, fraction) == k


def test_the_exact_scores_need_one_candidate_and_constant_ones_need_all():
    exact, relevant = np.random.default_rng(2).normal(size=(9, 7)), np.ones((9, 7), bool)
    assert candidates_needed(exact, exact, relevant, 0.99) == 1
    assert candidates_needed(np.zeros((9, 7)), exact, relevant, 0.01) == 7
    with pytest.raises(DataError, match="no query has a relevant item at rank 1"):
        candidates_needed(exact, exact, ~relevant, 0.99)


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_scores_every_pair_and_needs_fewer_candidates_than_all(name, tmp_path):
    store = _store(tmp_path)
    scores = SCREENS[name](store.images, store.texts, 16)
    assert {side: matrix.shape for side, matrix in scores.items()} == {"i2t": (40, 120), "t2i": (120, 40)}
    assert all(np.isfinite(matrix).all() for matrix in scores.values())
    matches = (CAPTIONS[None] == np.arange(40)[:, None]).T
    assert candidates_needed(scores["t2i"], store.texts @ store.images.T, matches, 0.8) < 30


def test_a_table_has_a_row_for_each_screen_and_head_and_leaves_out_what_has_too_few_dimensions(tmp_path, capsys):
    _store(tmp_path / "source")
    _store(tmp_path / "head", bits=8)
    main([str(tmp_path / "source"), "--heads", str(tmp_path / "head"), "--bits", "8", "24"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("| 8 |" in line for line in lines) == len(SCREENS) + 1
    assert sum("| 24 |" in line for line in lines) == 2, "ITQ and PCA have at most 16 bits of 16 dimensions"
    assert "| hash head | 8 |" in "\n".join(lines)


def test_floats_are_no_head(tmp_path):
    store = _store(tmp_path)
    with pytest.raises(DataError, match="a head has no codes of the same test split"):
        list(measure(store, [store], []))
