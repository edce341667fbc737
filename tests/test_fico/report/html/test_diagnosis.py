"""Why a run has its numbers: every query in one bar, categories against a loop, pairs against a count."""

from dataclasses import replace

import numpy as np
import pytest

import fico
from fico.report.html.category_table import category_table
from fico.report.html.diagnosis import diagnose, rank_bars
from fico.report.html.page import write_report
from fico.report.html.pair_similarity import embedded_pairs, pair_similarity, scored_pairs
from fico.report.html.samples import exact_rank, sample_queries
from fico.run_context import EpochValues
from fico.scoring.candidates import FILL


@pytest.fixture(scope="module")
def result(split, embeddings):
    return fico.evaluate(*embeddings, split.correspondence, labels=split.labels, similarity="inner", bootstrap=20)


class TestRanks:
    def test_every_query_is_in_the_bar_of_its_rank(self):
        found = rank_bars(np.array([1.0, 1.5, 2, 7, 480, np.nan, np.nan]))
        counts = {bar.name: bar.items for bar in found}
        assert counts == {
            "1": 1, "to 2": 2, "to 5": 0, "to 10": 1, "to 20": 0, "to 50": 0, "to 100": 0, "to 200": 0, "to 500": 1,
            "none": 2,
        }  # fmt: skip
        assert max(bar.fraction for bar in found) == 1

    def test_no_bar_without_a_rank_and_no_bar_of_none_without_gaps(self):
        assert rank_bars(np.array([np.nan])) == ()
        assert [bar.name for bar in rank_bars(np.array([1.0, 1.0]))] == ["1"]


class TestCategories:
    def test_a_category_is_the_mean_over_its_queries(self, result, split):
        table = category_table(result, split)
        queries = result.per_query["t2i"]
        column = [(c.group, c.name) for c in table.columns].index(("text to image", "R@10"))
        for row in table.rows:
            name = row.cells[0].text
            chosen = [split.labels[image, split.classes.index(name)] for image in queries.images]
            assert row.cells[column].numbers[""] == pytest.approx(100 * queries.values["instance/R@10"][chosen].mean())

    def test_an_interval_holds_its_value_and_the_worst_category_comes_first(self, result, split):
        table = category_table(result, split)
        numbers = [cell.numbers for row in table.rows for cell in row.cells[2:]]
        assert all(found["low"] - 1e-9 <= found[""] <= found["high"] + 1e-9 for found in numbers)
        recalls = [(row.cells[2].numbers[""] + row.cells[4].numbers[""]) / 2 for row in table.rows]
        assert recalls == sorted(recalls)

    def test_without_recall_categories_are_sorted_by_average_precision_and_the_note_says_so(
        self, result, split, embeddings
    ):
        table = category_table(
            fico.evaluate(
                *embeddings, split.correspondence, labels=split.labels, similarity="inner", bootstrap=20,
                tasks=("category",),
            ),
            split,
        )  # fmt: skip
        means = [np.mean([cell.numbers[""] for cell in row.cells[2:]]) for row in table.rows]
        assert means == sorted(means)
        assert "Sorted by mAP@N, the mean of both directions" in table.notes[0]
        assert "Sorted by R@10, the mean of both directions" in category_table(result, split).notes[0]

    def test_without_labels_there_is_no_table(self, result, split):
        assert category_table(result, replace(split, labels=None)) is None


class TestPairs:
    def test_matching_pairs_lie_above_random_ones_as_counted(self, split, embeddings):
        found = pair_similarity(embedded_pairs(*embeddings, "inner"), split.correspondence, 9, seed=1)
        above = np.sign(found.matching[:, None] - found.random).mean() / 2 + 0.5
        assert found.above == pytest.approx(above)
        assert found.above > 0.6

    @pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean", "hamming"])
    def test_a_pair_scores_as_exact_search_does(self, split, embeddings, similarity):
        images, texts = embeddings
        if similarity == "hamming":
            images, texts = (np.where(np.pad(side, ((0, 0), (0, 4))) > 0, 1.0, -1.0) for side in embeddings)
        rows, columns = np.array([0, 3, 8]), np.array([5, 1, 17])
        found = embedded_pairs(images, texts, similarity)(rows, columns)
        search = fico.ExactSearch(similarity)
        search.add(texts)
        ranking = search.search(images[rows], len(texts))
        expected = [ranking.scores[n][ranking.indices[n] == c][0] for n, c in enumerate(columns)]
        expected = 1 + np.array(expected) / images.shape[1] if similarity == "hamming" else expected
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_no_random_pair_matches_and_those_behind_a_reranking_are_left_out(self, split):
        owners = split.correspondence.caption_to_image
        scores = np.where(np.arange(9)[:, None] == owners, 1.0, 0.0)
        assert set(pair_similarity(scored_pairs(scores), split.correspondence, 9, 0).random) == {0.0}
        scores[4] = FILL
        found = pair_similarity(scored_pairs(scores), split.correspondence, 9, 0)
        assert len(found.matching) == 16
        assert set(found.matching) == {1.0}


class TestPage:
    @pytest.fixture(scope="class")
    def page(self, tmp_path_factory, results, result, split, embeddings):
        samples = sample_queries(exact_rank(*embeddings, "inner"), split, per_direction=18, hits=2)
        diagnosis = diagnose(result, split, embedded_pairs(*embeddings, "inner"), 0)
        history = [EpochValues(1, 2.0, None), EpochValues(2, 1.5, 0.25)]
        path, command = tmp_path_factory.mktemp("page") / "report.html", "python run.py 'dataset.root=a <b>'"
        write_report(path, results, samples, diagnosis=diagnosis, history=history, command=command)
        return path.read_text()

    def test_four_numbers_with_chance_and_the_cost_come_before_every_table(self, page):
        first = page[: page.index("<table")]
        assert first.count('<dd class="number">') == 8
        assert first.count("· chance ") == 4
        assert "50.00" in first
        assert "an item, network alone" in first

    def test_a_missed_query_shows_its_match_and_hits_name_the_labels_that_they_share(self, page):
        assert page.count('class="missed"') == 2, "captions 0 and 1 are turned away from their image"
        assert '<span class="shared">red</span>' in page

    def test_ranks_categories_pairs_curves_and_command_are_there(self, page):
        for part in ("Queries by rank", "Quality per category", "random pairs", "training-", "a &lt;b&gt;"):
            assert part in page

    def test_without_them_the_page_is_whole(self, tmp_path, results):
        write_report(tmp_path / "report.html", results)
        assert "Diagnosis" not in (tmp_path / "report.html").read_text()


def test_a_metric_beyond_the_candidates_is_not_applicable(tmp_path, results):
    config = {"model": {"rerank": {"k": 5}}, "metric": {"recall_at": [1, 10], "map_at": [10]}}
    metrics = {key: value for key, value in results.metrics.items() if key.endswith(("R@1", "mAP@10"))}
    write_report(tmp_path / "report.html", replace(results, metrics=metrics, config=config))
    page = (tmp_path / "report.html").read_text()
    assert page.count("no order beyond 5 re-ranked candidates") == 4
    assert page.count(">n/a<") == 4 + 2 + 2, "four headlines; R@10 and mAP@N in both directions"
