"""Runs side by side, from files written by our own writer."""

import csv
import gzip
import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.compare import captions_of, read_runs
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, UsageError
from fico.evaluation.evaluate import evaluate
from fico.metrics.significance import PairedTest, sign_flip_test
from fico.report.compare.compare import compare, p_cell
from fico.report.compare.examples import examples
from fico.report.compare.paired import holm
from fico.report.compare.sweep_table import sweep_table, write_sweep
from fico.report.results.collect import collect_metrics, query_tables
from fico.report.results.schema import DataInfo, ModelInfo, Results, read_results, write_results
from fico.types import Correspondence
from fico.util.digests.digest import sealed

IMAGES, EACH = 40, 3
PAIRS = Correspondence(np.repeat(np.arange(IMAGES), EACH))
LABELS = np.random.default_rng(5).random((IMAGES, 4)) < 0.4
IDS = [f"i{n}" for n in range(IMAGES)], [f"c{n}" for n in range(IMAGES * EACH)]


@cache
def evaluated(noise, seed, bits, ties):
    """What the engine finds on embeddings of that noise, once for all tests."""
    generator = np.random.default_rng([seed, int(100 * noise)])
    images = np.random.default_rng(1).normal(size=(IMAGES, 16))
    texts = images[PAIRS.caption_to_image] + noise * generator.normal(size=(IMAGES * EACH, 16))
    if bits:
        images, texts = np.sign(images), np.sign(texts)
    return evaluate(
        images, texts, PAIRS, labels=LABELS, similarity="hamming" if bits else "cosine", ties=ties, bootstrap=20
    )


def write(folder, name="ucch", noise=1.0, seed=0, *, bits=None, data=None, config=None, ties="expected", **changed):
    """A whole run: real embeddings, evaluated by the engine, in the files that a run leaves."""
    result = evaluated(noise, seed, bits, ties)
    plain = {"model": {"name": name, "noise": noise}, "metric": {"ties": ties}, "stage": ["fit", "test"]}
    results = Results(
        name=f"{name}-s{seed}",
        seed=seed,
        started="2026-01-02T03:04:05+00:00",
        seconds=1.0,
        commit="c" * 40,
        model=ModelInfo(name, "fine", "tiny", 16, bits, "bits" if bits else "float32"),
        data=data or DataInfo("shapes", "test", IMAGES, IMAGES * EACH, 4, "ab" * 32),
        metrics=collect_metrics(result, "test"),
        efficiency={"encode_seconds": 1.0 + seed, "embedding_bytes": 8 * (bits or 512)},
        search=(),
        versions={},
        hardware={"cpu": "a CPU"},
        config=plain | (config or {}),
    )
    write_results(folder, replace(results, **changed), query_tables(result, *IDS))
    return result


def write_queries(path, text):
    """Replace the values of single queries, as a run whose results name the new digest."""
    path.write_bytes(gzip.compress(text.encode()))
    results = path.parent / "results.json"
    results.write_text(json.dumps(sealed({**json.loads(results.read_text()), "files": {}})))


def compared(folders):
    """The table of the runs in these folders."""
    return compare(read_runs(folders)[0])


def numbers(table, name):
    """Value, difference and p of the second column of a metric."""
    row = next(row for row in table.rows if row.cells[0].text == name)
    return row.cells


class TestTest:
    @pytest.mark.parametrize("bits", [None, 16])
    def test_p_is_that_of_sign_flips_of_whole_images_on_the_values_per_query(self, tmp_path, bits):
        first, second = write(tmp_path / "a", "scan", 0.8, bits=bits), write(tmp_path / "b", "vsrn", 1.0, bits=bits)
        table = compared([tmp_path / "a", tmp_path / "b"])
        for way, name, key in (
            ("t2i", "R@1", "instance/R@1"),
            ("i2t", "R@10", "instance/R@10"),
            ("t2i", "mAP@N", "category/mAP@N"),
        ):
            task = key.split("/")[0]
            sides = [result.per_query[way].values[key] for result in (second, first)]
            wanted = sign_flip_test(*sides, first.per_query[way].images)
            p = numbers(table, f"{task}/{way}/{name}")[5]
            assert p.numbers["uncorrected"] == pytest.approx(wanted.p)
            assert p.numbers[""] >= wanted.p

    @pytest.mark.parametrize("change", ["other queries", "another order"])
    def test_runs_of_as_many_other_queries_are_not_paired(self, tmp_path, change):
        for name in ("scan", "vsrn"):
            write(tmp_path / name, name, 1.0)
        path = tmp_path / "vsrn" / "per_query.csv.gz"
        text = gzip.decompress(path.read_bytes()).decode()
        first, second = ("\ni0,", "\nother,") if change == "other queries" else ("\ni0,", "\ni1,")
        text = text.replace(second, "\nx,").replace(first, second).replace("\nx,", first)
        write_queries(path, text)
        with pytest.raises(UsageError, match="have different queries, or in another order"):
            compared([tmp_path / "scan", tmp_path / "vsrn"])

    def test_the_difference_is_that_of_the_metrics_and_has_its_sign(self, tmp_path):
        first, second = write(tmp_path / "a", "scan", 0.5), write(tmp_path / "b", "vsrn", 1.5)
        table = compared([tmp_path / "a", tmp_path / "b"])
        for name in ("instance/t2i/R@1", "category/i2t/mAP@10"):
            wanted = 100 * (second.metrics[name] - first.metrics[name])
            assert numbers(table, name)[4].numbers[""] == pytest.approx(wanted)
            assert numbers(table, name)[4].text == f"{wanted:+.2f}".replace("-", "−")
        assert numbers(table, "instance/t2i/R@1")[4].text.startswith("−")
        assert numbers(table, "instance/t2i/MedR")[4].text.startswith("+")

    def test_the_interval_of_the_difference_is_that_of_resampled_images(self, tmp_path):
        first, second = write(tmp_path / "a", "scan", 0.9), write(tmp_path / "b", "vsrn", 1.2)
        table = compared([tmp_path / "a", tmp_path / "b"])
        key, generator = "instance/t2i/R@5", np.random.default_rng(8)
        gaps = [each.per_query["t2i"].values["instance/R@5"] for each in (first, second)]
        per_image = (gaps[1] - gaps[0]).reshape(IMAGES, EACH).mean(axis=1)
        draws = per_image[generator.integers(0, IMAGES, (20_000, IMAGES))].mean(axis=1)
        found = numbers(table, key)[4].numbers
        assert found["low"] < found[""] < found["high"]
        assert [found["low"], found["high"]] == pytest.approx(100 * np.quantile(draws, [0.025, 0.975]), abs=0.8)

    def test_equal_runs_do_not_differ_and_none_is_best(self, tmp_path):
        for name in ("scan", "vsrn"):
            write(tmp_path / name, name)
        table = compared([tmp_path / "scan", tmp_path / "vsrn"])
        assert numbers(table, "instance/t2i/R@1")[5].numbers[""] == 1
        assert not any(cell.is_best for row in table.rows for cell in row.cells)

    def test_the_median_rank_is_no_mean_and_has_no_p(self, tmp_path):
        for name, noise in (("scan", 0.5), ("vsrn", 1.5)):
            write(tmp_path / name, name, noise)
        table = compared([tmp_path / "scan", tmp_path / "vsrn"])
        assert numbers(table, "instance/t2i/MedR")[5].text == "–"

    @pytest.mark.parametrize(
        ("p", "text"), [(0.0009, "< 0.001"), (0.001, "0.001"), (0.0049, "0.005"), (0.04, "0.040"), (1.0, "1.000")]
    )
    def test_p_is_printed_with_three_digits_and_below_them_as_less(self, p, text):
        assert p_cell((PairedTest(0.1, 1.0, p / 2), p)).text == text

    def test_holm_is_the_textbooks(self):
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
        assert holm([0.9, 0.5]) == [1.0, 1.0]
        assert holm([]) == []

    def test_values_that_do_not_give_the_metric_are_not_tested(self, tmp_path):
        for name, noise in (("scan", 0.5), ("vsrn", 1.5)):
            write(tmp_path / name, name, noise)
        path = tmp_path / "vsrn" / "per_query.csv.gz"
        text = gzip.decompress(path.read_bytes()).decode().splitlines()
        write_queries(path, "\n".join([*text[:2], *text[3:]]))
        table = compared([tmp_path / "scan", tmp_path / "vsrn"])
        assert numbers(table, "instance/i2t/R@1")[5].text == "–"
        assert numbers(table, "instance/t2i/R@1")[5].text != "–"

    def test_images_come_from_the_embeddings_where_the_queries_do_not_tell(self, tmp_path):
        results = {name: write(tmp_path / name, name, noise) for name, noise in (("scan", 0.9), ("vsrn", 1.1))}
        for name in results:
            path = tmp_path / name / "per_query.csv.gz"
            rows = csv.reader(gzip.decompress(path.read_bytes()).decode().splitlines())
            write_queries(path, "\n".join(",".join(row[:-1]) for row in rows))
        paths = [tmp_path / "scan", tmp_path / "vsrn"]
        assert numbers(compared(paths), "instance/t2i/R@1")[5].text == "–"
        for path in paths:
            EmbeddingStore.write(
                path / "embeddings", np.ones((IMAGES, 2)), np.ones((IMAGES * EACH, 2)),
                image_ids=IDS[0], caption_ids=IDS[1], correspondence=PAIRS, origin={"model": "x"},
            )  # fmt: skip
        sides = [results[name].per_query["t2i"].values["instance/R@1"] for name in ("vsrn", "scan")]
        wanted = sign_flip_test(*sides, PAIRS.caption_to_image)
        assert numbers(compared(paths), "instance/t2i/R@1")[5].numbers["uncorrected"] == pytest.approx(wanted.p)


def test_fingerprints_of_version_0_1_which_took_sizes_do_not_part_runs_of_the_same_data(tmp_path):
    data = [DataInfo("shapes", "test", IMAGES, IMAGES * EACH, 4, digest * 32) for digest in ("ab", "cd")]
    for name, found, release in (("old", data[0], "0.1.0"), ("new", data[1], "0.2.0"), ("newer", data[0], "0.2.0")):
        write(tmp_path / name, name, data=found, versions={"fico": release})
    compared([tmp_path / "old", tmp_path / "new"])
    with pytest.raises(UsageError, match="content differs"):
        compared([tmp_path / "new", tmp_path / "newer"])


class TestSides:
    def test_seeds_are_averaged_and_their_values_tested_as_means(self, tmp_path):
        first = [write(tmp_path / f"a{seed}", "scan", 0.9, seed) for seed in (0, 1)]
        second = write(tmp_path / "b", "vsrn", 1.2)
        table = compared([tmp_path / "b", tmp_path / "a0", tmp_path / "a1"])
        assert [column.group for column in table.columns[2:]] == ["vsrn", "scan", "scan", "scan"]
        key = "instance/t2i/R@1"
        values = [result.metrics[key] for result in first]
        cells = numbers(table, key)
        assert cells[3].numbers[""] == pytest.approx(100 * np.mean(values))
        assert cells[3].numbers["sd"] == pytest.approx(100 * np.std(values, ddof=1))
        mean = np.mean([result.per_query["t2i"].values["instance/R@1"] for result in first], axis=0)
        wanted = sign_flip_test(mean, second.per_query["t2i"].values["instance/R@1"], PAIRS.caption_to_image)
        assert cells[5].numbers["uncorrected"] == pytest.approx(wanted.p)

    def test_where_only_seeds_differ_they_are_the_columns(self, tmp_path):
        for seed in (0, 1):
            write(tmp_path / str(seed), seed=seed)
        table = compared([tmp_path])
        assert [column.group for column in table.columns[2:4]] == ["ucch, seed 0", "ucch, seed 1"]

    def test_the_same_seed_again_is_a_column_of_its_own(self, tmp_path):
        write(tmp_path / "before", noise=1.0)
        write(tmp_path / "after", noise=1.0, commit="d" * 40)
        table = compared([tmp_path / "before", tmp_path / "after"])
        assert [column.group for column in table.columns[2:4]] == ["ucch [before]", "ucch [after]"]
        assert "The runs were made with different code: cccccccc, dddddddd." in table.notes

    def test_the_best_is_marked_ranks_and_costs_by_the_least(self, tmp_path):
        write(tmp_path / "a", "scan", 0.5)
        write(tmp_path / "b", "vsrn", 1.5, bits=16)
        table = compared([tmp_path / "a", tmp_path / "b"])
        best = {row.cells[0].text: [cell.is_best for cell in row.cells] for row in table.rows}
        for name in ("instance/t2i/R@1", "instance/t2i/MedR"):
            assert best[name] == [False, False, True, False, False, False]
        assert best["embeddings"] == [False, False, False, True, False, False]

    def test_times_of_other_machines_are_not_ranked(self, tmp_path):
        write(tmp_path / "a", "scan")
        write(tmp_path / "b", "vsrn", hardware={"cpu": "another"}, efficiency={"encode_seconds": 9.0})
        table = compared([tmp_path / "a", tmp_path / "b"])
        assert not any(cell.is_best for cell in numbers(table, "encode"))
        assert any("different machines" in note for note in table.notes)

    def test_a_metric_that_one_run_lacks_is_a_dash(self, tmp_path):
        write(tmp_path / "a", "scan", 0.5)
        result = write(tmp_path / "b", "vsrn", 1.5)
        metrics = {k: m for k, m in collect_metrics(result, "test").items() if "category" not in k}
        write(tmp_path / "b", "vsrn", 1.5, metrics=metrics)
        cells = numbers(compared([tmp_path / "a", tmp_path / "b"]), "category/t2i/mAP@N")
        assert [cell.text for cell in cells[3:]] == ["–", "–", "–"]


class TestExamples:
    def test_wins_and_losses_are_counted_and_the_largest_are_shown_with_their_ranks(self, tmp_path):
        results = [write(tmp_path / name, name, noise) for name, noise in (("scan", 0.9), ("vsrn", 1.2))]
        runs, _ = read_runs([tmp_path / "scan", tmp_path / "vsrn"])
        i2t, t2i = examples(runs, {"c0": "a dog"}, count=2)
        before, after = (result.per_query["t2i"].ranks for result in results)
        won, lost = int((after < before).sum()), int((after > before).sum())
        assert (
            f"vsrn ranks the first relevant item better than scan for {won} of 120 queries, worse for {lost}"
            in t2i.title
        )
        ratios = before / after
        shown = [(row.cells[0].text, row.cells[1].numbers[""], row.cells[2].numbers[""]) for row in t2i.rows]
        assert shown[0][1] / shown[0][2] == pytest.approx(ratios.max())
        assert shown[-1][1] / shown[-1][2] == pytest.approx(ratios.min())
        assert len(t2i.rows) == 4
        assert i2t.title.startswith("Image to text")

    def test_equal_runs_have_no_examples(self, tmp_path):
        for name in ("before", "after"):
            write(tmp_path / name)
        runs, _ = read_runs([tmp_path / "before", tmp_path / "after"])
        assert [len(table.rows) for table in examples(runs, {})] == [0, 0]

    def test_a_caption_is_shown_where_a_run_keeps_it(self, tmp_path):
        for name, noise in (("scan", 0.9), ("vsrn", 1.2)):
            write(tmp_path / name, name, noise)
        runs, _ = read_runs([tmp_path / "scan", tmp_path / "vsrn"])
        _, t2i = examples(runs, {query: f"text of {query}" for query in IDS[1]})
        assert all(row.cells[0].text.startswith("text of c") for row in t2i.rows)
        assert captions_of(runs) == {}


def test_a_sweep_has_one_row_for_each_setting_with_its_seeds_averaged(tmp_path):
    for seed in (0, 1, 2):
        write(tmp_path / f"ucch{seed}", "ucch", 1.0, seed, bits=16)
    write(tmp_path / "scan", "scan", 0.5)
    runs = [read_results(folder) for folder in sorted(tmp_path.iterdir())]
    table = sweep_table("mine", runs)
    assert [row.texts[:4] for row in table.rows] == [
        ("scan", "–", "shapes", "0"), ("ucch", "16", "shapes", "0, 1, 2"),
    ]  # fmt: skip
    values = [100 * run.metric("instance/t2i/R@10").value for run in runs if run.model.name == "ucch"]
    cell = table.rows[1].cells[7]
    assert cell.numbers[""] == pytest.approx(np.mean(values))
    assert cell.note == f"± {np.std(values, ddof=1):.2f}"
    write_sweep(tmp_path)
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 5


def test_a_sweep_over_losses_names_the_loss_in_the_table_and_in_the_file(tmp_path):
    for loss in ("contrast", "proxy"):
        model = {"name": "clip_hash", "loss": loss, "module": {"loss": {"kind": loss}}}
        config = {"model": model, "metric": {"ties": "expected"}, "stage": ["fit", "test"]}
        write(tmp_path / loss, "clip_hash", config=config, bits=16)
    wanted = ["clip_hash (loss=contrast)", "clip_hash (loss=proxy)"]
    table = sweep_table("mine", [read_results(folder) for folder in sorted(tmp_path.iterdir())])
    assert [row.texts[0] for row in table.rows] == wanted
    write_sweep(tmp_path)
    assert [row["model"] for row in csv.DictReader((tmp_path / "sweep.csv").open())] == wanted


class TestRefusals:
    def test_other_contents_are_refused_with_both_runs_and_fingerprints(self, tmp_path):
        write(tmp_path / "a", "scan")
        write(tmp_path / "b", "vsrn", data=DataInfo("shapes", "test", IMAGES, IMAGES * EACH, 4, "99" * 32))
        with pytest.raises(UsageError, match=r"/a and .*/b .*abababababab and 999999999999"):
            compared([tmp_path / "a", tmp_path / "b"])

    @pytest.mark.parametrize("name", ["flickr8k test", "shapes val"])
    def test_other_data_and_splits_are_refused_by_name(self, tmp_path, name):
        data, split = name.split()
        write(tmp_path / "a", "scan")
        write(tmp_path / "b", "vsrn", data=DataInfo(data, split, IMAGES, IMAGES * EACH, 4, "ab" * 32))
        with pytest.raises(UsageError, match=f"shapes test, .*{name}"):
            compared([tmp_path / "a", tmp_path / "b"])

    def test_other_definitions_are_refused_with_both(self, tmp_path):
        write(tmp_path / "a", "scan")
        write(tmp_path / "b", "vsrn", ties="pessimistic")
        with pytest.raises(UsageError, match="ties: expected.*ties: pessimistic"):
            compared([tmp_path / "a", tmp_path / "b"])

    def test_a_bench_is_refused_by_name(self, tmp_path):
        for name in ("a", "b"):
            write(tmp_path / name, metrics={})
        with pytest.raises(UsageError, match="a has no metrics"):
            compared([tmp_path / "a", tmp_path / "b"])

    def test_one_run_is_too_few_even_if_named_twice(self, tmp_path):
        write(tmp_path / "a")
        with pytest.raises(UsageError, match="at least two"):
            compared([tmp_path / "a", tmp_path / "a" / "results.json"])

    def test_an_unfinished_run_is_refused_by_name_and_in_a_sweep_left_out(self, tmp_path):
        for name, noise in (("scan", 0.5), ("vsrn", 1.5)):
            write(tmp_path / name, name, noise)
        (tmp_path / "stopped").mkdir()
        (tmp_path / "stopped" / "run.log").touch()
        with pytest.raises(DataError, match="stopped"):
            compared([tmp_path / "scan", tmp_path / "stopped"])
        runs, left_out = read_runs([tmp_path])
        assert len(compare(runs).columns) == 6
        assert [folder.name for folder, _ in left_out] == ["stopped"]


class TestCommand:
    @pytest.fixture
    def runs(self, tmp_path):
        for name, noise in (("scan", 0.5), ("vsrn", 1.5)):
            write(tmp_path / name, name, noise)
        return [str(tmp_path / name) for name in ("scan", "vsrn")]

    def test_the_table_stands_on_the_terminal_and_in_the_file(self, runs, tmp_path):
        done = CliRunner().invoke(app, ["compare", *runs, "--out", str(tmp_path / "table.tex")])
        assert done.exit_code == 0, done.output
        assert re.search(r"instance/t2i/R@1 +2\.50 ", done.output)
        assert r"\begin{tabular}" in (tmp_path / "table.tex").read_text()

    def test_a_pipe_gets_every_column_whole(self, runs, tmp_path):
        for name in ("dadh", "ucch", "imram"):
            write(tmp_path / name, name, 1.0)
        done = CliRunner().invoke(
            app, ["compare", *runs, *(str(tmp_path / name) for name in ("dadh", "ucch", "imram"))]
        )
        line = next(line for line in done.output.splitlines() if line.startswith("instance/t2i/R@1 "))
        assert len(line) > 100
        assert "…" not in done.output
        assert len(re.findall(r"< 0\.001|[01]\.\d{3}(?!\d)", line)) == 4, "a p-value for each other run"

    def test_examples_follow_unless_none_are_wanted(self, runs):
        done = CliRunner().invoke(app, ["compare", *runs])
        assert "vsrn ranks the first relevant item better than scan for" in done.output
        assert "ranks the first" not in CliRunner().invoke(app, ["compare", *runs, "--examples", "0"]).output

    def test_markdown_marks_the_best(self, runs):
        done = CliRunner().invoke(app, ["compare", *runs, "--markdown", "--all"])
        row = next(line for line in done.output.splitlines() if line.startswith("| instance/t2i/R@1 "))
        assert row.count("**") == 2
        assert "| instance/t2i/nDCG@10 |" in done.output

    def test_another_ending_is_refused(self, runs, tmp_path):
        done = CliRunner().invoke(app, ["compare", *runs, "--out", str(tmp_path / "table.docx")])
        assert done.exit_code == 2
        assert ".md, .tex, .csv" in done.output
