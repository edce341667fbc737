"""The page of a run: escaped, offline, complete."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from fico.report.figures.curves import recall_curve
from fico.report.html.environment import score_text, thumbnail
from fico.report.html.page import write_report
from fico.report.html.samples import exact_rank, sample_queries


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
    @pytest.fixture(scope="class")
    def page(self, tmp_path_factory, results, split, embeddings):
        samples = sample_queries(exact_rank(*embeddings, "inner"), split, seed=3)
        path = tmp_path_factory.mktemp("page") / "report.html"
        write_report(path, results, samples)
        return path.read_text()

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

    def test_recall_is_drawn_up_to_the_gallery_and_no_further(self, results):
        deep = {f"test/instance/{way}/R@{k}": results.metric(f"instance/{way}/R@1") for way in ("i2t", "t2i")
                for k in (50, 100, 200)}  # fmt: skip
        small = replace(results.data, images=50, captions=100)
        drawn = recall_curve(replace(results, data=small, metrics=results.metrics | deep))
        assert [f">{k}</text>" in drawn for k in (1, 10, 50, 100, 200)] == [True] * 4 + [False]

    def test_hamming_scores_stay_whole_numbers(self):
        assert [score_text(s) for s in (-3.0, 0.0, -0.0, 0.12345, -64.0)] == ["-3", "0", "0", "0.123", "-64"]

    def test_thumbnails_are_small_and_a_broken_image_gives_none(self, tmp_path):
        Image.effect_noise((900, 700), 90).save(tmp_path / "noise.png")
        (tmp_path / "broken.png").write_bytes((tmp_path / "noise.png").read_bytes()[:200])
        assert len(thumbnail(tmp_path / "noise.png")) < 20_000
        assert thumbnail(tmp_path / "broken.png") is None
