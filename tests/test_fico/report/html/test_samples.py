"""Sample queries of a page: chosen by the seed, marked by correspondence and labels."""

from dataclasses import replace

import numpy as np

from fico.report.html.page import write_report
from fico.report.html.samples import exact_rank, matrix_rank, sample_queries


class TestSamples:
    def test_hits_are_marked_by_the_correspondence_and_the_labels(self, split, embeddings):
        owner = split.correspondence.caption_to_image
        samples = sample_queries(exact_rank(*embeddings, "inner"), split, per_direction=18, hits=4)
        for sample in samples:
            side = (
                (split.image_ids, split.caption_ids)
                if sample.direction == "i2t"
                else (split.caption_ids, split.image_ids)
            )
            image_of = (np.arange(9), owner) if sample.direction == "i2t" else (owner, np.arange(9))
            query = image_of[0][side[0].index(sample.query.item_id)]
            found = [image_of[1][side[1].index(hit.item.item_id)] for hit in sample.hits]
            assert [hit.is_match for hit in sample.hits] == [image == query for image in found]
            assert [bool(hit.shared_labels) for hit in sample.hits] == [image % 3 == query % 3 for image in found]
            assert [hit.score for hit in sample.hits] == sorted((hit.score for hit in sample.hits), reverse=True)

    def test_the_rank_of_the_first_match_is_that_of_the_whole_gallery(self, split, embeddings):
        samples = sample_queries(exact_rank(*embeddings, "inner"), split, per_direction=18, hits=2)
        ranks = {s.query.item_id: s.first_match_rank for s in samples if s.direction == "t2i"}
        assert {ranks[f"caption{row}"] for row in range(2, 18)} == {1}
        assert {ranks["caption0"], ranks["caption1"]} == {9}

    def test_queries_with_and_without_a_match_are_shown(self, split, embeddings):
        samples = sample_queries(exact_rank(*embeddings, "inner"), split, per_direction=4, hits=2)
        ranks = [s.first_match_rank for s in samples if s.direction == "t2i"]
        assert ranks == [1, 1, 9, 9]

    def test_too_few_misses_are_filled_up_with_hits(self, split, embeddings):
        images, texts = embeddings
        samples = sample_queries(exact_rank(images, abs(texts), "inner"), split, per_direction=6)
        assert [len([s for s in samples if s.direction == way]) for way in ("i2t", "t2i")] == [6, 6]

    def test_the_seed_decides(self, split, embeddings):
        rank = exact_rank(*embeddings, "inner")
        one, same, other = (sample_queries(rank, split, per_direction=4, seed=seed) for seed in (1, 1, 2))
        assert one == same
        assert one != other

    def test_without_labels_no_hit_is_marked_by_category(self, split, embeddings):
        samples = sample_queries(exact_rank(*embeddings, "cosine"), replace(split, labels=None))
        assert {hit.shared_labels for s in samples for hit in s.hits} == {None}

    def test_behind_the_candidates_of_a_reranking_there_is_neither_rank_nor_hit(self, tmp_path, results, split):
        scores = np.random.default_rng(0).standard_normal((len(split.image_ids), len(split.caption_ids)))
        for fill in (-100.0, -np.inf):
            kept = []
            for matrix in (scores, scores.T):
                limits = np.sort(matrix, axis=1)[:, -3:-2]
                kept.append(np.where(matrix >= limits, matrix, fill))
            samples = sample_queries(matrix_rank(*kept), split, hits=5)
            assert all(sample.candidates == 3 and len(sample.hits) == 3 for sample in samples)
            assert all(hit.score > fill for sample in samples for hit in sample.hits)
            assert {sample.first_match_rank for sample in samples} <= {None, 1, 2, 3}
            write_report(tmp_path / "report.html", results, samples)
            assert "match not among the 3 candidates" in (tmp_path / "report.html").read_text(encoding="utf-8")
        whole = sample_queries(matrix_rank(scores, scores.T), split)
        assert all(sample.candidates is None for sample in whole)

    def test_queries_against_a_database_show_its_items_alone(self, split, embeddings):
        searched = replace(split, correspondence=split.correspondence.with_database(range(5, 9)))
        samples = sample_queries(exact_rank(*embeddings, "inner"), searched, per_direction=18, hits=4)
        rows = searched.correspondence.searched(9)
        ids = (split.image_ids, split.caption_ids)
        for way, (queries, items) in (("i2t", ids), ("t2i", ids[::-1])):
            shown = [sample for sample in samples if sample.direction == way]
            assert {sample.query.item_id for sample in shown} <= {queries[row] for row in rows[way][0]}
            assert {hit.item.item_id for sample in shown for hit in sample.hits} <= {items[row] for row in rows[way][1]}
            assert {sample.items for sample in shown} == {len(rows[way][1])}
