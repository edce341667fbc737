"""The gallery grows by real distractors: recall against the whole evaluation, and the laws of growth."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import fico
from fico.bench.growth.gallery import Gallery
from fico.bench.growth.growth import growth
from fico.cli.app import app
from fico.errors import DataError, UsageError

CONFIG = {"name": "ucch", "similarity": "cosine"}


def store(folder, images, seed, prefix, *, dim=8, bits=None, noise=1.0, config=CONFIG):
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.concatenate([np.arange(images), rng.integers(0, images, 2 * images)]))
    picture = rng.normal(size=(images, dim)).astype(np.float32)
    text = (picture[owners] + noise * rng.normal(size=(len(owners), dim))).astype(np.float32)
    if bits:
        picture, text = (np.where(side[:, :bits] > 0, 1, -1).astype(np.int8) for side in (picture, text))
    return fico.EmbeddingStore.write(
        folder, picture, text, image_ids=[f"{prefix}{row}" for row in range(images)],
        caption_ids=[f"{prefix}{row}" for row in range(len(owners))], correspondence=fico.Correspondence(owners),
        origin={"model": "ucch", "config": config}, bits=bits,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    return store(root / "a", 40, 0, "a"), store(root / "b", 70, 1, "b"), store(root / "c", 50, 2, "c")


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    root = tmp_path_factory.mktemp("codes")
    made = [store(root / name, n, seed, name, dim=16, bits=16) for seed, (name, n) in enumerate([("a", 40), ("b", 70)])]
    return tuple(made)


def evaluated(test, gallery, direction, similarity, bits=None):
    """R@K by the whole evaluation: distractors' images and captions in it, and only the test set's queries counted."""
    import torch

    from fico.codes import HashCodes
    from fico.metrics.recall import recall_at_k

    asking, items = (test.images, gallery.texts) if direction == "i2t" else (test.texts, gallery.images)
    if bits:
        asking, items = (HashCodes.from_packed(side, bits).to_signs(np.float64) for side in (asking, items))
    scores = asking.astype(np.float64) @ items.astype(np.float64).T
    if similarity == "cosine":
        scores /= np.linalg.norm(items.astype(np.float64), axis=1)
    if similarity == "euclidean":
        scores = -np.linalg.norm(asking[:, None] - items[None], axis=2)
    owners = test.correspondence.caption_to_image
    right = np.zeros(scores.shape, bool)
    pairs = (owners, np.arange(len(owners))) if direction == "i2t" else (np.arange(len(owners)), owners)
    right[pairs] = True
    return {k: recall_at_k(torch.from_numpy(scores), torch.from_numpy(right), k).mean().item() for k in (1, 5, 10)}


@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean"])
def test_recall_is_that_of_the_whole_gallery_at_once(stores, similarity):
    test, *others = stores
    rows = growth(test, others, similarity=similarity, sizes=[160], progress=False)
    gallery = Gallery.join(test, others, 0)
    for row in rows:
        wanted = evaluated(test, gallery, row.direction, similarity)
        assert {k: row.recall[k] for k in wanted} == pytest.approx(wanted)
        assert row.items == len(gallery.items(row.direction))


def test_codes_tie_as_in_the_whole_evaluation(codes):
    test, other = codes
    gallery = Gallery.join(test, [other], 0)
    for row in growth(test, [other], similarity="hamming", sizes=[110], progress=False):
        wanted = evaluated(test, gallery, row.direction, "hamming", bits=16)
        assert {k: row.recall[k] for k in wanted} == pytest.approx(wanted)
        assert row.index_bytes >= 2 * row.items


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_without_distractors_it_is_the_evaluation(stores, similarity):
    test = stores[0]
    result = fico.evaluate(test.images, test.texts, test.correspondence, similarity=similarity, bootstrap=1)
    for row in growth(test, [], similarity=similarity, progress=False):
        for k in (1, 5, 10):
            assert row.recall[k] == pytest.approx(result.metrics[f"instance/{row.direction}/R@{k}"])
        assert row.median_rank == result.metrics[f"instance/{row.direction}/MedR"]
        assert row.distractors == 0


def test_recall_never_rises_while_the_gallery_grows(stores):
    test, *others = stores
    rows = growth(test, others, similarity="cosine", sizes=[40, 45, 60, 100, 160], progress=False)
    for direction in ("i2t", "t2i"):
        part = [row for row in rows if row.direction == direction]
        assert [row.items - row.distractors for row in part] == [part[0].items] * 5
        for k in (1, 5, 10, 50, 100):
            recalls = [row.recall[k] for row in part]
            assert recalls == sorted(recalls, reverse=True)
        assert part[-1].recall[1] < part[0].recall[1]
        ranks = [row.median_rank for row in part]
        assert ranks == sorted(ranks)


def test_galleries_double_and_a_caption_comes_with_its_image(stores):
    test, *others = stores
    gallery = Gallery.join(test, others, 3)
    assert gallery.sizes(None) == [40, 80, 160]
    joined = [(other, row) for other in others for row in range(len(other.images))]
    for size in (41, 73, 160):
        end = gallery.ends("i2t", size)
        there = {tuple(row) for row in gallery.images[40:size]}
        wanted = sorted(
            tuple(text)
            for other, row in joined
            if tuple(other.images[row]) in there
            for text in other.texts[other.correspondence.caption_to_image == row]
        )
        assert sorted(tuple(text) for text in gallery.texts[len(test.texts) : end]) == wanted


def test_another_seed_brings_others_first_and_the_same_in_the_end(stores):
    test, *others = stores
    one, two = (growth(test, others, similarity="cosine", seed=seed, progress=False) for seed in (0, 1))
    assert [row.recall for row in one] != [row.recall for row in two]
    assert [row.recall for row in one if row.items in (160, 480)] == [
        row.recall for row in two if row.items in (160, 480)
    ]


def test_distractors_that_are_queries_or_of_another_model_are_refused(stores, tmp_path):
    test, other, _ = stores
    with pytest.raises(DataError, match="40 images of distractors 1 are in the gallery already, among them a0"):
        growth(test, [test], similarity="cosine", progress=False)
    with pytest.raises(DataError, match="70 images of distractors 2"):
        growth(test, [other, other], similarity="cosine", progress=False)
    wide = store(tmp_path / "wide", 5, 0, "w", dim=9)
    with pytest.raises(DataError, match="9-D of ucch, the test set is 8-D"):
        growth(test, [wide], similarity="cosine", progress=False)
    long, codes = (store(tmp_path / f"codes{bits}", 5, 0, "c", dim=16, bits=bits) for bits in (16, 8))
    with pytest.raises(DataError, match="distractors 1 are 16 bits of ucch, the test set is 8 bits of ucch"):
        growth(codes, [long], similarity="hamming", progress=False)
    trained = store(tmp_path / "other", 5, 0, "o", config=CONFIG | {"epochs": 3})
    with pytest.raises(DataError, match="encode both with one model"):
        growth(test, [trained], similarity="cosine", progress=False)
    read = store(tmp_path / "read", 5, 0, "r", config=CONFIG | {"checkpoint": "best.ckpt"})
    growth(test, [read], similarity="cosine", progress=False)
    elsewhere = dataclasses.replace(test, origin=test.origin | {"dataset": "another"})
    growth(test, [elsewhere], similarity="cosine", progress=False)


def test_sizes_that_cannot_be_made_are_told(stores):
    test, *others = stores
    with pytest.raises(UsageError, match=r"no gallery can have \[39, 161\] images; give sizes from 40 to 160"):
        growth(test, others, similarity="cosine", sizes=[39, 100, 161], progress=False)


@pytest.fixture
def runs(stores, tmp_path, monkeypatch):
    """Folders of two runs, with as much of their results as the command reads."""
    from types import SimpleNamespace

    from fico.cli import growth as growth_command

    def results(folder):
        return SimpleNamespace(config={"model": CONFIG}, name=folder.name, data=SimpleNamespace(name="shapes"))

    monkeypatch.setattr(growth_command, "read_results", results)
    store(tmp_path / "test" / "embeddings", 30, 0, "a")
    store(tmp_path / "train" / "embeddings", 60, 1, "b")
    return tmp_path / "test", tmp_path / "train"


def test_the_command_writes_table_and_figure(runs, tmp_path):
    test, train = map(str, runs)
    done = CliRunner().invoke(app, ["growth", test, "--distractors", train, "--sizes", "30,90", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "growth.json").read_text())
    assert [(row["direction"], row["items"]) for row in content["rows"]] == [
        ("i2t", 90), ("i2t", 270), ("t2i", 30), ("t2i", 90),
    ]  # fmt: skip
    lines = (tmp_path / "growth.csv").read_text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("direction,queries,items,distractors,R@1,")
    assert "<svg" in (tmp_path / "growth.svg").read_text()
    assert "image to text" in done.output


def test_the_command_tells_a_wrong_size(runs):
    test, train = map(str, runs)
    done = CliRunner().invoke(app, ["growth", test, "--distractors", train, "--sizes", "1k"])
    assert done.exit_code == 2
    assert "--sizes holds '1k'" in done.stderr
