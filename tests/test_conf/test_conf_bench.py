"""Benches through run.py: small, from the command line to the files, and what they refuse."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from fico.errors import UsageError
from fico.experiment.config import check_config, register_resolvers
from fico.report.results import read_results

ROOT = Path(__file__).resolve().parents[2]
TOY = ("bench.queries=50", "bench.items=500", "bench.threads=1")
SMALL = (*TOY, "bench.dim=256", "logger=none")


def run(folder, *arguments):
    command = [sys.executable, "run.py", f"hydra.run.dir={folder}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)


def composed(*overrides):
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.fixture(scope="module")
def table7(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table7") / "run"
    done = run(folder, "experiment=table7", *TOY, "bench.ks=[1,10,100]", "bench.dim=256", "bench.seed=7")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done


def test_table_7_leaves_its_files_and_names_its_folder_last(table7):
    folder, done = table7
    assert Path(done.stdout.strip().splitlines()[-1]) == folder.resolve()
    for name in ("results.json", "results.csv", "report.html", "report.md", "config.yaml", "run.log", "wandb"):
        assert (folder / name).exists(), name
    assert done.stderr.index("predicted for 50 queries, 500 items") < done.stderr.index("measuring")


def test_the_results_of_table_7_say_what_was_measured(table7):
    folder, _ = table7
    found = json.loads((folder / "results.json").read_text())
    assert (found["status"], found["seed"], found["metrics"]) == ("finished", 7, {})
    assert found["hardware"]["cpu"]
    assert found["versions"]["faiss-cpu"]
    assert found["config"]["bench"]["dim"] == 256
    rows = {row["index"]: row for row in found["search"]}
    assert set(rows) == {"flat", "hnsw", "binary_flat", "binary_ivf", "popcount", "hybrid"}
    for row in rows.values():
        assert (row["queries"], row["items"]) == (50, 500)
        assert {"build_seconds", "search_cpu_seconds", "index_bytes", "rss_bytes", "cpu", "load"} <= set(row)
        assert set(row["top1_in_k"]) == set(row["overlap_at_k"]) == {"1", "10", "100"}
    assert rows["flat"]["overlap_at_k"]["100"] == 1
    with (folder / "results.csv").open() as file:
        table = {row["index"]: row for row in csv.DictReader(file)}
    assert float(table["flat"]["top1_in_k/1"]) == 1
    assert read_results(folder).search[0].index == "flat"


def test_the_rows_of_table_7_reach_the_loggers(table7):
    folder, _ = table7
    logged = next((folder / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    assert b"bench/hnsw/top1_in_1" in logged
    assert b"bench/rows" in logged
    assert "bench/hnsw/top1_in_1" in (folder / "metrics.csv").read_text().splitlines()[0]


def test_figure_4_is_drawn_from_finished_runs(table7, tmp_path):
    done = run(tmp_path, "experiment=figure4", f"bench.results=[{table7[0]}]", "logger=none")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "figure4.png").stat().st_size > 10_000
    svg = (tmp_path / "figure4.svg").read_text()
    assert "exact nearest among the first k" in svg
    assert "size of the index in MB" in svg
    again = read_results(tmp_path)
    assert [row.top1_in_k for row in again.search] == [row.top1_in_k for row in read_results(table7[0]).search]
    assert again.data.captions == 50


def test_figure_4_measures_where_no_run_is_given(tmp_path):
    done = run(tmp_path, "experiment=figure4", *SMALL, "bench.ks=[1,10]", "bench.indexes=[flat,popcount]")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "figure4.svg").exists()
    assert [row.index for row in read_results(tmp_path).search] == ["flat", "popcount"]


def test_the_comparison_of_rivals_leaves_table_and_figure(tmp_path):
    rivals = "bench.rivals=[flat,hnsw,popcount_256,gpu_flat]"
    done = run(tmp_path, "experiment=pareto", *SMALL, rivals, "bench.rounds=1")
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("pareto.svg", "pareto.png", "results.csv", "report.md"):
        assert (tmp_path / name).exists(), name
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "speed-up over hnsw at equal recall" in page
    rows = json.loads((tmp_path / "results.json").read_text())["search"]
    assert {row["index"] for row in rows} >= {"flat", "hnsw", "popcount_256"}
    assert all(isinstance(row["is_dominated"], bool) for row in rows)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("bench.items=500",), "bench.ks"),
        (("bench.indexes=[flat,foo]",), "'foo' is unknown"),
        (("bench.items=50000000",), "GiB are free"),
        (("bench.queries=many",), "bench.queries is 'many'"),
    ],
)
def test_a_bench_that_cannot_run_ends_with_one_sentence_and_exit_code_2(tmp_path, overrides, told):
    done = run(tmp_path, "experiment=table7", "logger=none", *overrides)
    assert done.returncode == 2
    assert told in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("experiment=table7", "+bench.foo=1"), "unknown key bench.foo"),
        (("experiment=table7", "+foo=1"), "unknown key foo"),
        (("experiment=table7", "model=ucch"), "a bench runs without model"),
        (("experiment=pareto", "stage=[fit]"), "a bench has no stages"),
        (("bench=table7",), "a bench runs without model"),
    ],
)
def test_what_has_no_effect_beside_a_bench_is_refused(overrides, told):
    with pytest.raises(UsageError, match=told.replace(".", r"\.")):
        check_config(composed(*overrides))
