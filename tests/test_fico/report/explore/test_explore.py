"""The page of several runs: what it says of a query is what the runs stored, and no caption can leave its data."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import fico
from fico.errors import DataError
from fico.report.explore.content import explored
from fico.report.explore.pages import write_explore_pages
from fico.report.explore.pictures import small_pictures
from fico.report.results.per_query import QUERIES, read_queries
from fico.report.results.runs import find_runs
from fico.report.results.stored_scores import stored_scores

SHOWN = ("vsrn", "ucch", "scan", "xvlm")


@pytest.fixture(scope="module")
def found(runs):
    return find_runs([runs[name] for name in SHOWN]).runs


@pytest.fixture(scope="module")
def folder(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    assert write_explore_pages(folder, found) == ({"explore.html": "shapes test"}, ())
    return folder


@pytest.fixture(scope="module")
def data(folder):
    page = (folder / "explore.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def run_of(data, label):
    return next(run for run in data["runs"] if run["label"].startswith(label))


class TestContent:
    def test_captions_owners_and_categories_are_those_of_the_split(self, data, tested):
        assert tuple(data["captions"]) == tested.captions
        assert data["owners"] == tested.correspondence.caption_to_image.tolist()
        assert tuple(data["imageIds"]) == tested.image_ids
        assert tuple(data["classes"]) == tested.classes
        assert data["labels"] == [np.flatnonzero(row).tolist() for row in tested.labels]
        assert all(picture.startswith("data:image/jpeg;base64,") for picture in data["pictures"])

    @pytest.mark.parametrize(("name", "similarity"), [("vsrn", "cosine"), ("ucch", "hamming")])
    def test_the_first_items_are_those_of_a_loop_over_the_embeddings(self, data, runs, name, similarity):
        store = fico.EmbeddingStore.load(runs[name] / "embeddings")
        if similarity == "hamming":
            images, texts = (np.unpackbits(rows, axis=1).astype(int) for rows in (store.images, store.texts))
            scores = -np.array([[np.abs(text - image).sum() for image in images] for text in texts])
        else:
            images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (store.images, store.texts))
            scores = texts.astype(np.float64) @ images.astype(np.float64).T
        items = np.array(run_of(data, name)["items"]["t2i"])
        shown = np.take_along_axis(scores, items, axis=1)
        np.testing.assert_allclose(shown, -np.sort(-scores, axis=1)[:, :5], atol=1e-6)

    def test_a_reranking_shows_only_its_candidates_and_their_order(self, data, runs, found):
        run = next(run for run in found if run.folder.name == "xvlm")
        scores = stored_scores(run.folder, fico.EmbeddingStore.load(run.folder / "embeddings"), {
            "rerank": run.results.config["model"]["rerank"]})[1]  # fmt: skip
        items = np.array(run_of(data, "xvlm")["items"]["t2i"])
        shown = np.take_along_axis(scores, items, axis=1)
        assert (np.diff(shown, axis=1) <= 0).all()
        assert (shown[:, 0] == scores.max(axis=1)).all()

    @pytest.mark.parametrize("name", SHOWN)
    @pytest.mark.parametrize("way", ["i2t", "t2i"])
    def test_the_ranks_are_those_that_the_run_stored(self, data, runs, name, way):
        stored = read_queries(runs[name] / QUERIES)[way].first_ranks
        shown = [np.nan if rank is None else rank for rank in run_of(data, name)["ranks"][way]]
        np.testing.assert_allclose(shown, stored, atol=0.051)

    def test_a_rank_among_those_shown_is_that_of_a_match_where_nothing_ties(self, data):
        run = run_of(data, "scan")
        for caption, (items, rank) in enumerate(zip(run["items"]["t2i"], run["ranks"]["t2i"], strict=True)):
            if rank is not None and rank <= 5 and rank == int(rank):
                assert items[int(rank) - 1] == data["owners"][caption]

    def test_of_a_larger_set_some_queries_are_shown_with_ranks_of_the_whole_gallery(self, data, found, monkeypatch):
        monkeypatch.setattr("fico.report.explore.content.MOST_QUERIES", 7)
        some = explored(found).as_json()
        rows = some["queries"]["t2i"]
        assert len(rows) == 7
        assert rows == sorted(rows)
        ranks = run_of(data, "vsrn")["ranks"]["t2i"]
        assert run_of(some, "vsrn")["ranks"]["t2i"] == [ranks[row] for row in rows]


class TestPage:
    def test_no_caption_leaves_the_data(self, runs, tmp_path, monkeypatch):
        hostile = "</script><script>alert(1)</script><!--"
        count = len(fico.EmbeddingStore.load(runs["vsrn"] / "embeddings").caption_ids)
        monkeypatch.setattr("fico.inference.inputs.StoredInputs.captions", property(lambda own: (hostile,) * count))
        write_explore_pages(tmp_path, find_runs([runs["vsrn"]]).runs)
        page = (tmp_path / "explore.html").read_text()
        assert page.count("</script>") == page.count("<script") == 2
        assert hostile not in page

    def test_nothing_is_fetched(self, folder):
        page = (folder / "explore.html").read_text()
        assert re.findall(r"(?:src|href)=.https?:|url\(|@import|<link|fetch\(|XMLHttpRequest", page) == []
        assert "default-src 'none'" in page

    def test_runs_of_several_data_sets_have_a_page_each_and_one_without_embeddings_is_named(
        self, found, runs, tmp_path
    ):
        shutil.copytree(runs["dadh"], tmp_path / "bare", ignore=shutil.ignore_patterns("embeddings", "checkpoints"))
        bare = find_runs([tmp_path / "bare"]).runs
        pages, remarks = write_explore_pages(tmp_path, bare)
        assert pages == {}
        assert "embedding" in remarks[0]
        assert write_explore_pages(tmp_path, [*found, *bare])[0] == {"explore.html": "shapes test"}
        assert str(tmp_path / "bare") in (tmp_path / "explore.html").read_text()

    def test_too_many_images_are_refused_with_their_number(self, found, monkeypatch):
        monkeypatch.setattr("fico.report.explore.content.MOST_IMAGES", 10)
        with pytest.raises(DataError, match="images are more than the 10"):
            explored(found)


def test_pictures_fit_their_budget_and_a_broken_one_is_none(tmp_path):
    paths = []
    for number in range(12):
        paths.append(tmp_path / f"{number}.png")
        Image.effect_noise((640, 480), 60).save(paths[-1])
    paths[3].write_bytes(b"no image")
    large, small = (small_pictures(paths, budget) for budget in (10**7, 60_000))
    assert sum(map(len, filter(None, small))) <= 60_000 < sum(map(len, filter(None, large)))
    assert [small[3], large[3]] == [None, None]
