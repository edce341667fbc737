"""The system to take under limits, from runs with an index, pair scorers, re-rankers and cascades."""

import io
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import UsageError
from fico.report.recommend.recommend import Limits, recommend
from fico.report.results.metric import Metric
from fico.report.results.schema import DataInfo, ModelInfo, Results, SearchRow, write_results
from fico.report.table.terminal import notes, print_table

IMAGES, CAPTIONS = 100, 500


def row(index, way, quality, seconds, size):
    queries, items = (IMAGES, CAPTIONS) if way == "i2t" else (CAPTIONS, IMAGES)
    details = {"direction": way, "task": {"R@10": quality, "mAP@100": quality / 2}}
    return SearchRow(index, queries, items, 0.1, seconds * queries, size, {1: 1.0}, {1: 1.0}, details)


def run(model="vsrn", quality=0.5, seed=0, indexes=(), attention=False, rerank=None, **efficiency):
    metrics = {
        f"test/{task}/{way}/{name}": Metric(quality, None, None, 9, "is; 9 queries")
        for task, name in (("instance", "R@10"), ("category", "mAP@100"))
        for way in ("i2t", "t2i")
    }
    rows = [row(name, way, q, seconds, size) for name, q, seconds, size in indexes for way in ("i2t", "t2i")]
    return Results(
        name=f"{model}-s{seed}", seed=seed, started="2026-01-01T00:00:00+00:00", seconds=1, commit="c",
        model=ModelInfo(model, "fine", "tiny", 64, None, "float32", attention),
        data=DataInfo("shapes", "test", IMAGES, CAPTIONS, 20, "ab" * 32), metrics=metrics,
        efficiency={"encode_seconds": 0.6, "embedding_bytes": 2**20, "attention_seconds": 0.0, **efficiency},
        search=tuple(rows), versions={}, hardware={"cpu": "a CPU"},
        config={"model": {"name": model, "rerank": rerank}, "seed": seed, "stage": ["fit", "test"]},
    )  # fmt: skip


VSRN = run(indexes=[("flat", 0.50, 4e-3, 2**20), ("hnsw", 0.49, 1e-3, 2**22), ("slow", 0.48, 9e-3, 2**23)])
SCAN = run("scan", 0.9, attention=True, attention_seconds=50.0)
CASCADE = run(
    "adv > scan, k=50", 0.88, attention=True, attention_seconds=3.0, embedding_bytes=3 * 2**20,
    **{f"{way}_{step}_seconds": t for way in ("i2t", "t2i")
       for step, t in (("encode", 2e-3), ("screen", 1e-3), ("rank", 9e-3))},
)  # fmt: skip
LONG = replace(SCAN, model=replace(SCAN.model, name="a long name of a model " * 4))


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (Limits(), "Take scan (scores pairs itself): R@10 90.0 %, 1.0 MiB, 501 ms a query."),
        (Limits(None, 0.1), "Take adv > scan, k=50 (scores pairs itself): R@10 88.0 %, 3.0 MiB, 12 ms a query."),
        (Limits(None, 6e-3), "Take vsrn (with the index flat): R@10 50.0 %, 2.0 MiB, 5 ms a query."),
        (Limits(2**30, 2e-3), "Take vsrn (with the index hnsw): R@10 49.0 %, 8.0 MiB, 2 ms a query."),
        (Limits(2**30, 1e-3), "Nothing fits into 1.0 GiB and 1 ms a query. Nearest, at 2 times the tighter"),
        (Limits(2**19, 1.0), "Nothing fits into 512.0 KiB and 1.00 s a query. Nearest, at 2 times"),
    ],
)  # fmt: skip
def test_the_best_that_fits_is_taken(limits, wanted):
    found = recommend([VSRN, SCAN, CASCADE], "instance", limits)
    assert found.answer.startswith(wanted)
    assert found.fits == wanted.startswith("Take")
    rows = {row.texts[:2]: row for row in found.table.rows}
    assert rows["vsrn", "slow"].kind == "dominated"
    assert [row.texts[1] for row in found.table.rows] == ["pairs", "pairs", "flat", "hnsw", "slow"]
    assert sum(row.cells[2].is_best for row in found.table.rows) == 1


def test_an_index_is_judged_by_what_it_finds_of_the_task():
    found = recommend([VSRN], "category", Limits())
    assert found.answer.startswith("Take vsrn (with the index flat): mAP@100 25.0 %")


def test_seeds_are_one_system_by_their_means():
    other = run(seed=1, indexes=[("flat", 0.60, 2e-3, 2**20)])
    first = run(seed=0, indexes=[("flat", 0.50, 4e-3, 2**20)])
    (only,) = recommend([first, other], "instance", Limits()).table.rows
    assert only.texts[2:5] == ("55.0", "2.0 MiB", "4 ms")


def test_a_reranker_scores_each_direction_apart_and_holds_its_states():
    blip = run("blip2", 0.7, rerank={"k": 10}, attention_seconds=6.0, feature_bytes=2**20)
    (only,) = recommend([blip], "instance", Limits()).table.rows
    assert only.texts[1:5] == ("pairs", "70.0", "2.0 MiB", "11 ms")


def test_runs_that_cannot_be_compared_or_have_no_times_are_refused():
    other = replace(VSRN, data=replace(VSRN.data, name="coco", fingerprint="cd" * 32))
    with pytest.raises(UsageError, match=r"definitions: shapes test.*\(1 run\);.*give --data NAME"):
        recommend([VSRN, other], "instance", Limits())
    assert recommend([VSRN, other], "instance", Limits(), data="coco").fits
    again = replace(VSRN, data=replace(VSRN.data, fingerprint="ef" * 32))
    with pytest.raises(UsageError, match=r"\(1 run\); give the folders of one of them"):
        recommend([VSRN, again], "instance", Limits(), data="shapes")
    with pytest.raises(UsageError, match="no run is on data 'f30k'; the runs are on coco, shapes"):
        recommend([VSRN, other], "instance", Limits(), data="f30k")
    with pytest.raises(UsageError, match="none of the 1 runs on shapes has instance R@3"):
        recommend([VSRN], "instance", Limits(), metric="R@3")


def test_rows_that_another_beats_are_counted_with_the_reason_and_large_factors_are_whole_numbers():
    found = recommend([VSRN], "instance", Limits(2**10))
    assert notes(found.table)[0] == "1 more row is not shown: each is beaten by another in quality, memory and time."
    assert found.table.rows[0].texts[-1] == "no, 2,048 x"
    assert "at 2,048 times the tighter limit" in found.answer


def test_the_command_prints_the_whole_table_in_a_pipe_and_the_answer_last(tmp_path):
    for each in (VSRN, LONG):
        write_results(tmp_path / each.name, each, {})
    done = CliRunner().invoke(app, ["recommend", "--runs", str(tmp_path), "--memory", "1GiB", "--latency", "10ms"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line]
    assert lines[-1] == "Take vsrn (with the index flat): R@10 50.0 %, 2.0 MiB, 5 ms a query."
    assert sum(LONG.model.name.strip() in line for line in lines) == 1
    assert any("no, 50.1 x" in line for line in lines)


def test_the_table_fits_into_a_terminal_of_80_columns(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    print_table(recommend([VSRN, LONG], "instance", Limits(2**30, 0.01)).table, terminal)
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("no, 50.1 x" in line for line in lines)


@pytest.mark.parametrize(
    ("option", "text"), [("--memory", "1"), ("--memory", "0GiB"), ("--latency", "fast"), ("--latency", "1GiB")]
)
def test_limits_are_numbers_with_a_unit(tmp_path, option, text):
    done = CliRunner().invoke(app, ["recommend", "--runs", str(tmp_path), option, text])
    assert done.exit_code == 2
    assert f"{option} is '{text}'; give " in done.output
