"""Nearest neighbour normalisation: the package's numbers, any index, and rows of their own in a result."""

import numpy as np
import pytest
import torch

import fico
from fico import Correspondence, ExactSearch, FaissSearch, evaluate
from fico.errors import UsageError
from fico.evaluation.evaluate import merge_results
from fico.evaluation.hubness.nnn import nnn_bias, nnn_rows


def sides(seed=0, images=24, dim=8, train=40):
    generator = np.random.default_rng(seed)
    owners, taught = np.repeat(np.arange(images), 3), np.repeat(np.arange(train), 2)
    shift = 0.8 * generator.standard_normal(dim)  # between the modalities, which makes hubs
    found = []
    for rows, members in ((images, owners), (train, taught)):
        side = generator.standard_normal((rows, dim))
        found += [side, side[members] + shift + generator.standard_normal((len(members), dim))]
    return [torch.from_numpy(side).float() for side in found], owners


def test_the_bias_is_that_of_the_authors_package():
    """nnn-retrieval 1.0.1: ``NNNRetriever(3).compute_alignment_means(items, bank, 2, 128) * 0.5``."""
    items = torch.tensor([[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, -1]])
    bank = torch.tensor([[0.8, 0.6, 0], [0, 0.6, 0.8], [0.36, 0.48, 0.8], [-1, 0, 0]])
    assert nnn_bias(items, bank, k=2, alpha=0.5).tolist() == pytest.approx(PACKAGE)


PACKAGE = [0.29, 0.39, 0.0]


def test_pieces_of_the_gallery_have_the_biases_of_the_whole(monkeypatch):
    (images, _, _, bank), _ = sides()
    whole = nnn_bias(images, bank, k=5, alpha=0.75)
    monkeypatch.setattr("fico.evaluation.hubness.nnn._PIECE_SCORES", 7 * len(bank))
    torch.testing.assert_close(nnn_bias(images, bank, k=5, alpha=0.75), whole)


@pytest.mark.parametrize("make", [lambda: ExactSearch("inner"), lambda: FaissSearch("Flat", "inner")])
@pytest.mark.parametrize("direction", ["i2t", "t2i"])
def test_any_index_of_inner_products_finds_what_the_biased_scores_rank(direction, make):
    (images, texts, *bank), _ = sides()
    wide = nnn_rows(images, texts, tuple(bank), similarity="cosine", k=4, alpha=0.5)
    units = [torch.nn.functional.normalize(side, dim=1) for side in (images, texts, *bank)]
    queries, items, others = (0, 1, 2) if direction == "i2t" else (1, 0, 3)
    biased = units[queries] @ units[items].T - nnn_bias(units[items], units[others], k=4, alpha=0.5)
    index = make()
    index.add(wide[items].numpy())
    found = index.search(wide[queries].numpy(), 6)
    np.testing.assert_array_equal(found.indices, biased.topk(6, dim=1).indices.numpy())


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_corrected_metrics_are_rows_of_their_own_and_the_others_stay(engine):
    (images, texts, *bank), owners = sides()
    pairs, options = Correspondence(owners), {"engine": engine, "bootstrap": 50}
    plain = evaluate(images, texts, pairs, **options)
    both = evaluate(images, texts, pairs, bank=tuple(bank), hubness_correction="nnn", nnn_k=4, **options)
    assert {name: both.metrics[name] for name in plain.metrics} == plain.metrics
    rows = nnn_rows(images, texts, tuple(bank), similarity="cosine", k=4, alpha=0.5)
    wanted = evaluate(*rows, pairs, similarity="inner", **options)
    for name in ("i2t/R@1", "t2i/MedR", "i2t/chance/R@5", "RSUM"):
        assert both.metrics[f"nnn/{name}"] == wanted.metrics[f"instance/{name}"]
    assert both.intervals["nnn/i2t/R@1"] == wanted.intervals["instance/i2t/R@1"]
    assert "k=4, alpha=0.5" in both.definitions["nnn/i2t/R@1"]
    np.testing.assert_array_equal(both.per_query["i2t"].values["nnn/rank"], wanted.per_query["i2t"].ranks)
    gain = 100 * (wanted.metrics["instance/i2t/R@1"] - plain.metrics["instance/i2t/R@1"])
    assert any(note.startswith(f"nnn i2t: R@1 {gain:+.1f} points (95 % interval, paired") for note in both.notes)


def test_images_that_a_shift_of_the_captions_made_hubs_are_found_less_often():
    (images, texts, *bank), owners = sides(images=120, train=200)
    rows = nnn_rows(images, texts, tuple(bank), similarity="cosine", k=16, alpha=0.75)
    plain = evaluate(images, texts, Correspondence(owners), bootstrap=0).hubness["t2i"]
    found = evaluate(*rows, Correspondence(owners), similarity="inner", bootstrap=0).hubness["t2i"]
    assert found.robin_hood < plain.robin_hood
    assert found.skew < plain.skew


def test_shards_joined_are_the_whole():
    (images, texts, *bank), owners = sides()
    options = {"bank": tuple(bank), "hubness_correction": "nnn", "nnn_k": 4, "bootstrap": 20}
    whole = evaluate(images, texts, Correspondence(owners), **options)
    parts = [evaluate(images, texts, Correspondence(owners), block=5, shard=(n, 2), **options) for n in range(2)]
    joined = merge_results(parts)
    assert joined.metrics == whole.metrics
    assert joined.notes == whole.notes


def test_the_torchmetrics_object_takes_the_bank():
    (images, texts, *bank), owners = sides()
    options = {"bank": tuple(bank), "hubness_correction": "nnn", "nnn_k": 4, "bootstrap": 0}
    metric = fico.RetrievalMetrics(Correspondence(owners), **options)
    metric.update(fico.EncodedBatch(images, torch.arange(len(images)), texts, torch.arange(len(texts))))
    assert metric.compute().metrics == evaluate(images, texts, Correspondence(owners), **options).metrics


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"bank": None}, "needs bank="),
        ({"similarity": "euclidean"}, "cosine or inner"),
        ({"nnn_k": 500}, "more than the 80 queries of the bank"),
        ({"tasks": ("category",), "labels": np.ones((24, 2))}, "instance task"),
        ({"nnn_alpha": 0}, "positive number"),
        ({"hubness_correction": "csls"}, "one of nnn"),
    ],
)
def test_what_cannot_be_corrected_is_one_sentence(changed, sentence):
    (images, texts, *bank), owners = sides()
    options = {"bank": tuple(bank), "hubness_correction": "nnn", "nnn_k": 4, "bootstrap": 0, **changed}
    with pytest.raises(UsageError, match=sentence):
        evaluate(images, texts, Correspondence(owners), **options)
