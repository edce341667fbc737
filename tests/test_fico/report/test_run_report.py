import csv
import gzip
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError, FicoError
from fico.evaluation.result import PerQuery, RetrievalResult
from fico.report.html.environment import score_text, thumbnail
from fico.report.html.page import write_report
from fico.report.html.samples import exact_rank, sample_queries
from fico.report.results import schema as results_module
from fico.report.results.collect import collect_metrics, query_tables
from fico.report.results.display import metric_text
from fico.report.results.per_query import QueryTable
from fico.report.results.schema import (
    DataInfo,
    Metric,
    ModelInfo,
    Results,
    SearchRow,
    read_results,
    write_results,
)
from fico.report.run_summary.summary import print_results
from fico.types import Correspondence
from fico.util.provenance import commit, hardware, versions
from fico.util.units import bytes_text, seconds_text


def metric(value, **changed):
    spread = 0.05 if value <= 1 else 3
    low, high = max(0.0, value - spread), value + spread if value > 1 else min(1.0, value + spread)
    return Metric(value, low, high, 500, "What it is.", **changed)


def some_metrics(**changed):
    found = {}
    for way in ("i2t", "t2i"):
        for name, value, chance in (("R@1", 0.1234, 0.004), ("R@10", 0.5, 0.04), ("MedR", 12.5, 250.0)):
            found[f"test/instance/{way}/{name}"] = metric(value, **changed)
            found[f"test/instance/{way}/chance/{name}"] = metric(chance)
        for name, value in (("mAP@10", 0.8), ("mAP@N", 0.6), ("PR@0.0", 0.9), ("PR@1.0", 0.4)):
            found[f"test/category/{way}/{name}"] = metric(value, **changed)
            found[f"test/category/{way}/chance/{name}"] = metric(0.33)
    return found


@pytest.fixture
def results():
    return Results(
        name="vsrn-shapes-s0",
        seed=0,
        started="2026-01-02T03:04:05+00:00",
        seconds=61.25,
        commit="unknown",
        model=ModelInfo("vsrn", "fine", "tiny", 256, None, "float32"),
        data=DataInfo("shapes", "test", 500, 2500, 20, "ab" * 32),
        metrics=some_metrics(),
        efficiency={"encode_seconds": 1.5, "embedding_bytes": 3_072_000, "attention_seconds": None},
        search=(
            SearchRow("flat", 500, 2500, 0.01, 0.002, 640_000, {1: 1.0, 10: 1.0}, {10: 1.0}),
            SearchRow(
                "hnsw",
                500,
                2500,
                0.2,
                0.001,
                900_000,
                {1: 0.97, 10: 0.99},
                {10: 0.95},
                {"threads": 2, "direction": "t2i"},
            ),
        ),
        versions={"python": "3.11.2", "fico": "0.1.0"},
        hardware={"cpu": "a CPU", "cores": 2, "memory_bytes": 2**34},
        config={"seed": 0, "model": {"name": "vsrn"}},
        notes=("3 of 500 queries have no right item and count 0.",),
    )


QUERIES = (
    QueryTable("i2t", ("img0", "img1"), np.array([1.0, np.nan]), {"10": np.array([0.5, np.nan])}),
    QueryTable("t2i", ("cap,0", 'cap"1"'), np.array([2.5, 7.0]), {"10": np.array([1 / 3, 0.0])}),
)


class TestFiles:
    def test_results_come_back_as_they_were_written(self, tmp_path, results):
        write_results(tmp_path, results, QUERIES)
        assert read_results(tmp_path) == results
        assert read_results(tmp_path / "results.json") == results

    def test_the_json_has_the_promised_keys(self, tmp_path, results):
        write_results(tmp_path, results)
        plain = json.loads((tmp_path / "results.json").read_text())
        assert (plain["schema_version"], plain["status"]) == (1, "finished")
        promised = "name seed started seconds commit model data metrics efficiency search versions hardware config"
        assert set(promised.split()) <= set(plain)
        assert set(plain["metrics"]["test/instance/i2t/R@1"]) == {"value", "low", "high", "queries", "definition"}
        assert plain["search"][1]["top1_in_k"] == {"1": 0.97, "10": 0.99}
        assert (plain["search"][1]["threads"], plain["search"][1]["direction"]) == (2, "t2i")

    def test_tie_bounds_stand_beside_the_value(self, tmp_path, results):
        write_results(
            tmp_path,
            replace(
                results,
                metrics=some_metrics(pessimistic=0.1, optimistic=0.2)
                | {
                    "test/instance/i2t/MedR": metric(12.5, pessimistic=14.0, optimistic=11.0),
                    "test/instance/t2i/MedR": metric(12.5),
                },
            ),
        )
        plain = json.loads((tmp_path / "results.json").read_text())["metrics"]
        assert (plain["test/category/i2t/mAP@N"]["pessimistic"], plain["test/category/i2t/mAP@N"]["optimistic"]) == (
            0.1,
            0.2,
        )
        assert "pessimistic" not in plain["test/instance/t2i/MedR"]

    def test_the_csv_holds_the_metrics_of_the_json(self, tmp_path, results):
        write_results(tmp_path, results)
        rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
        assert {row["metric"]: float(row["value"]) for row in rows} == {
            name: metric.value for name, metric in results.metrics.items()
        }

    def test_the_per_query_file_keeps_ids_ranks_and_gaps(self, tmp_path, results):
        write_results(tmp_path, results, QUERIES)
        with gzip.open(tmp_path / "per_query.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        assert [row["query"] for row in rows] == ["img0", "img1", "cap,0", 'cap"1"']
        assert [row["first_rank"] for row in rows] == ["1", "", "2.5", "7"]
        assert [row["AP@10"] for row in rows] == ["0.5", "", "0.333333333", "0"]

    def test_equal_runs_give_equal_files(self, tmp_path, results):
        for folder in ("a", "b"):
            write_results(tmp_path / folder, results, QUERIES)
            write_report(tmp_path / folder / "report.html", results)
        for name in ("results.json", "results.csv", "per_query.csv.gz", "report.html"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    @pytest.mark.parametrize("broken", ["_metrics_csv", "queries_csv"])
    def test_an_interrupted_write_leaves_no_results_not_even_the_old_ones(self, tmp_path, results, monkeypatch, broken):
        write_results(tmp_path, results, QUERIES)

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(results_module, broken, interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_results(tmp_path, results, QUERIES)
        assert not (tmp_path / "results.json").exists()
        assert not list(tmp_path.glob(".*.part"))

    def test_the_json_comes_last(self, tmp_path, results, monkeypatch):
        order = []
        real = results_module.atomic_write
        monkeypatch.setattr(results_module, "atomic_write", lambda path: order.append(path.name) or real(path))
        write_results(tmp_path, results, QUERIES)
        assert order[-1] == "results.json"
        assert set(order) == {"results.json", "results.csv", "per_query.csv.gz"}

    def test_an_unfinished_run_has_no_results_to_read(self, tmp_path):
        with pytest.raises(DataError, match="last"):
            read_results(tmp_path)

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "3", '{"a": 1}', '{"schema_version": 7}', '{"schema_version": 1}']
    )
    def test_a_foreign_or_damaged_file_is_refused_by_name(self, tmp_path, content):
        path = tmp_path / "results.json"
        path.write_text(content)
        with pytest.raises(DataError, match=r"results\.json"):
            read_results(path)

    def test_a_config_that_is_no_json_is_refused_before_anything_is_written(self, tmp_path, results):
        with pytest.raises(FicoError, match="JSON"):
            write_results(tmp_path, replace(results, efficiency={"encode_seconds": math.nan}))
        assert list(tmp_path.iterdir()) == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("R@1", 1.01),
            ("R@1", -0.01),
            ("R@1", 50.0),
            ("mAP@N", math.nan),
            ("PR@0.5", math.inf),
            ("MedR", 0.5),
            ("MeanR", math.inf),
        ],
    )
    @pytest.mark.parametrize("part", ["value", "low", "high", "pessimistic", "optimistic"])
    def test_values_that_no_metric_has_are_refused_by_name(self, results, name, value, part):
        good = Metric(1.0, 1.0, 1.0, 3, "What it is.")
        key = f"test/instance/i2t/{name}"
        with pytest.raises(FicoError, match=re.escape(f"{part} of {key}")):
            replace(results, metrics={key: replace(good, **{part: value})})

    def test_the_ends_of_the_range_are_values(self, results):
        ends = {
            "test/instance/i2t/R@1": Metric(1.0, 0.0, 1.0, 3, ""),
            "test/instance/i2t/MedR": Metric(1.0, 1.0, 9.0, 3, ""),
        }
        assert replace(results, metrics=ends).metrics == ends


class TestTables:
    def text(self, results):
        file = io.StringIO()
        print_results(results, file)
        return file.getvalue()

    def test_values_stand_in_percent_with_interval_and_chance(self, results):
        line = next(line for line in self.text(results).splitlines() if line.strip().startswith("R@1 "))
        assert re.findall(r"[\d.,]+–[\d.,]+|[\d.,]+", line)[1:] == ["12.34", "7.3–17.3", "0.40"] * 2

    def test_ranks_are_no_percents(self, results):
        assert re.search(r"MedR +12\.5 +9\.5–15\.5 +250 ", self.text(results))

    @pytest.mark.parametrize("ties", [False, True])
    def test_everything_fits_100_columns_and_nothing_is_cut(self, results, ties):
        bounds = {"pessimistic": 0.1, "optimistic": 0.9999} if ties else {}
        wide = {name: m if "MedR" in name else replace(m, **bounds) for name, m in results.metrics.items()}
        for name in ("i2t", "t2i"):
            wide[f"test/instance/{name}/MedR"] = Metric(
                12345.5, 11111.5, 23456.5, 500, "", *([9e4, 1.1e4] if ties else [])
            )
            wide[f"test/category/{name}/mAP@10"] = Metric(1.0, 1.0, 1.0, 500, "", **bounds)
        text = self.text(replace(results, metrics=wide))
        assert max(map(len, text.splitlines())) <= 100
        assert "…" not in text

    def test_an_index_is_named_with_its_direction(self, results):
        assert re.search(r"hnsw t2i +500 in 2,500 +200 ms +1 ms", self.text(results))

    def test_a_pipe_gets_no_colour_codes(self, results):
        assert "\x1b" not in self.text(results)

    def test_a_task_that_was_not_run_is_left_out(self, results):
        only = {name: m for name, m in results.metrics.items() if "instance" in name}
        text = self.text(replace(results, metrics=only, search=()))
        assert "R@1" in text
        assert "mAP" not in text
        assert "top 1" not in text

    def test_units_are_chosen_to_be_read(self):
        assert [bytes_text(size) for size in (0, 1023, 1024, 3 * 2**30)] == ["0 B", "1,023 B", "1.0 KiB", "3.0 GiB"]
        assert [seconds_text(s) for s in (0, 2e-6, 0.0123, 5, 1200)] == ["0 s", "2 µs", "12.3 ms", "5.00 s", "20.0 min"]
        assert [metric_text("R@1", 0.5), metric_text("MedR", 3.0), metric_text("MeanR", 1234.56)] == [
            "50.00",
            "3",
            "1,235",
        ]


class TestCollect:
    def test_metrics_and_queries_of_an_evaluation_keep_names_and_ids(self):
        per_query = {
            "i2t": PerQuery(np.array([1, 0]), np.array([1, 0]), np.array([3.0, 1.0]), {"10": np.array([0.1, 0.2])}, {}),
            "t2i": PerQuery(np.array([2]), np.array([0]), np.array([4.0]), {}, {}),
        }
        key = "instance/i2t/R@1"
        result = RetrievalResult(
            {key: 0.5}, {key: (0.4, 0.6)}, {key: 2}, {key: "def"}, {key: (0.3, 0.7)}, (), per_query
        )
        assert collect_metrics(result, "test") == {f"test/{key}": Metric(0.5, 0.4, 0.6, 2, "def", 0.3, 0.7)}
        tables = query_tables(result, ("a", "b"), ("x", "y", "z"))
        assert [(t.direction, t.ids, t.first_ranks.tolist()) for t in tables] == [
            ("i2t", ("b", "a"), [3.0, 1.0]),
            ("t2i", ("z",), [4.0]),
        ]


@pytest.fixture
def split(tmp_path):
    """Nine images of three colours, two captions each in shuffled order, labels by colour; image 8 has no file."""
    colours = ["red", "lime", "blue"]
    paths = []
    for row in range(9):
        paths.append(tmp_path / f"{row}.png")
        if row != 8:
            Image.new("RGBA", (400, 300), colours[row % 3]).save(paths[-1])
    owners = np.random.default_rng(0).permutation(np.repeat(np.arange(9), 2))
    captions = tuple(
        f"a {colours[owner % 3]} picture, number {owner} <script>alert('{owner}')</script>" for owner in owners
    )
    return RetrievalSplit(
        dataset="colours",
        name="test",
        image_ids=tuple(f"image{row}" for row in range(9)),
        image_paths=tuple(paths),
        caption_ids=tuple(f"caption{row}" for row in range(18)),
        captions=captions,
        tokens=tuple(tuple(caption.split()) for caption in captions),
        correspondence=Correspondence(owners),
        labels=np.eye(3, dtype=bool)[np.arange(9) % 3],
        classes=tuple(colours),
        fingerprint="00",
    )


@pytest.fixture
def embeddings(split):
    """Each caption lies nearest its own image, then images of its colour; captions 0 and 1 are turned away."""
    colour, own = 4 * np.eye(3)[np.arange(9) % 3], np.eye(9)
    images = np.concatenate([colour, own], axis=1).astype(np.float32)
    texts = images[split.correspondence.caption_to_image].copy()
    texts[:2] *= -1
    return images, texts


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
            assert [hit.shares_label for hit in sample.hits] == [image % 3 == query % 3 for image in found]
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
        assert {hit.shares_label for s in samples for hit in s.hits} == {None}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.words, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        self.sources += [found[key] for key in ("src", "href", "xlink:href") if key in found]
        self.ids += [found["id"]] if "id" in found else []

    def handle_data(self, data):
        self.words.append(data)


class TestPage:
    @pytest.fixture
    def page(self, tmp_path, results, split, embeddings):
        samples = sample_queries(exact_rank(*embeddings, "inner"), split, seed=3)
        write_report(tmp_path / "report.html", results, samples)
        return (tmp_path / "report.html").read_text()

    def test_captions_are_text_and_never_run(self, page):
        assert "script" not in Page(page).tags
        assert "<script>alert('" in "".join(Page(page).words)

    def test_nothing_is_fetched_from_elsewhere(self, page):
        sources = Page(page).sources
        assert any(source.startswith("data:image/jpeg;base64,") for source in sources)
        assert [source for source in sources if not source.startswith(("data:", "#"))] == []
        assert re.findall(r"url\((?!#)|@import|<link|<iframe", page) == []

    def test_the_two_curves_share_no_id(self, page):
        ids = Page(page).ids
        assert len(ids) == len(set(ids)) > 10

    def test_every_reference_inside_a_curve_has_its_target(self, page):
        targets = re.findall(r'(?:href="|url\()#([^")]+)', page)
        assert targets
        assert set(targets) <= set(Page(page).ids)

    def test_values_definitions_and_notes_are_there(self, page, results):
        words = " ".join(Page(page).words)
        for expected in ("12.34", "7.3–17.3", "0.40", "What it is.", results.notes[0], "hnsw", "image8", "1.50 s"):
            assert expected in words

    def test_curves_follow_the_colours_of_the_page(self, page):
        assert "var(--i2t)" in page
        assert "#010205" not in page
        assert "prefers-color-scheme: dark" in page

    def test_a_page_without_samples_and_labels_is_whole(self, tmp_path, results):
        only = {name: m for name, m in results.metrics.items() if "instance" in name}
        write_report(tmp_path / "report.html", replace(results, metrics=only, search=(), efficiency={}))
        page = (tmp_path / "report.html").read_text()
        assert "Category level" not in page
        assert page.rstrip().endswith("</html>")

    def test_hamming_scores_stay_whole_numbers(self):
        assert [score_text(s) for s in (-3.0, 0.0, -0.0, 0.12345, -64.0)] == ["-3", "0", "0", "0.123", "-64"]

    def test_thumbnails_are_small_and_a_broken_image_gives_none(self, tmp_path):
        Image.effect_noise((900, 700), 90).save(tmp_path / "noise.png")
        (tmp_path / "broken.png").write_bytes((tmp_path / "noise.png").read_bytes()[:200])
        assert len(thumbnail(tmp_path / "noise.png")) < 20_000
        assert thumbnail(tmp_path / "broken.png") is None


class TestProvenance:
    def test_versions_and_machine_are_plain_json(self):
        json.dumps([versions(), hardware()])
        assert {"python", "numpy", "torch"} <= set(versions())
        assert hardware()["cores"] >= 1

    def test_the_commit_is_a_hash_or_unknown(self):
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", commit())
