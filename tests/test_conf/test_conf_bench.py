"""Benches through run.py: small, from the command line to the files, and what they refuse."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from fico.errors import FicoError, UsageError
from fico.experiment import bench
from fico.experiment.config.checks import check_config
from fico.experiment.resume.unfinished import Unfinished
from fico.report.results.schema import read_results
from tests.configs import composed
from tests.wandb_file import read_offline_run

ROOT = Path(__file__).resolve().parents[2]
TOY = ("bench.queries=50", "bench.items=500", "bench.threads=1")
SMALL = (*TOY, "bench.dim=256")


@pytest.fixture
def run(tmp_path):
    """What run.py does with a bench, in this process: a fresh one imports torch for seconds."""

    def run(*overrides):
        config = composed(*overrides, "logger=none")
        OmegaConf.set_readonly(config, False)
        whole = config.copy()
        with open_dict(whole):
            whole.hydra = composed("experiment=table7", with_hydra=True).hydra
        OmegaConf.set_readonly(whole.hydra, False)
        whole.hydra.overrides.task = list(overrides)
        whole.hydra.runtime.output_dir = str(tmp_path)
        whole.hydra.mode = "RUN"
        HydraConfig.instance().set_config(whole)
        check_config(config)
        return bench.run(config, Unfinished(tmp_path, "request"))

    yield run
    HydraConfig.instance().cfg = None


@pytest.fixture(scope="module")
def table7(tmp_path_factory, warm_python):
    folder = tmp_path_factory.mktemp("table7") / "run"
    values = (*TOY, "bench.ks=[1,10,100]", "bench.dim=64", "bench.seed=7")
    done = warm_python("run.py", f"hydra.run.dir={folder}", "experiment=table7", *values)
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
    assert found["config"]["bench"]["dim"] == 64
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
    run, search = read_offline_run(folder), json.loads((folder / "results.json").read_text())["search"]
    rows = {row["index"]: row for row in run.table("bench/rows")}
    assert {row["index"]: row["search_seconds"] for row in search} == {
        n: row["search_seconds"] for n, row in rows.items()
    }
    lines = {(row["lineKey"], row["step"]): row["lineVal"] for row in run.table("bench/overlap_table")}
    assert all(lines[row["index"], int(k)] == value for row in search for k, value in row["overlap_at_k"].items())
    assert len(run.keys) < 10
    assert "bench/hnsw/top1_in_1" in (folder / "metrics.csv").read_text().splitlines()[0]


def test_figure_4_is_drawn_from_finished_runs(table7, run):
    folder = run("experiment=figure4", f"bench.results=[{table7[0]}]")
    assert (folder / "figure4.png").stat().st_size > 10_000
    svg = (folder / "figure4.svg").read_text()
    assert "exact nearest among the first k" in svg
    assert "size of the index in MB" in svg
    again = read_results(folder)
    assert [row.top1_in_k for row in again.search] == [row.top1_in_k for row in read_results(table7[0]).search]
    assert again.data.captions == 50


def test_figure_4_measures_where_no_run_is_given(run):
    folder = run("experiment=figure4", *SMALL, "bench.ks=[1,10]", "bench.indexes=[flat,popcount]")
    assert (folder / "figure4.svg").exists()
    assert [row.index for row in read_results(folder).search] == ["flat", "popcount"]


def test_the_comparison_of_rivals_leaves_table_and_figure(run, capsys):
    folder = run("experiment=pareto", *SMALL, "bench.rivals=[flat,hnsw,popcount_64]", "bench.rounds=1")
    assert capsys.readouterr().out.strip().splitlines()[-1] == str(folder.resolve())
    for name in ("pareto.svg", "pareto.png", "pareto-other-modality.svg", "results.csv", "report.md"):
        assert (folder / name).exists(), name
    page = (folder / "report.html").read_text()
    assert "<svg" in page
    assert "speed-up over hnsw at equal recall" in page
    rows = json.loads((folder / "results.json").read_text())["search"]
    assert {row["index"] for row in rows} == {"flat", "hnsw", "popcount_64"}
    assert all(isinstance(row["is_dominated"], bool) for row in rows)
    assert {row["query_modality"] for row in rows} == {"same", "other"}


def test_a_bench_that_was_finished_is_not_run_again(run):
    values = ("experiment=table7", *SMALL, "bench.ks=[1]", "bench.indexes=[popcount]")
    before = (run(*values) / "results.json").stat().st_mtime_ns
    assert (run(*values) / "results.json").stat().st_mtime_ns == before
    assert (run(*values, "bench.seed=9") / "results.json").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("experiment=table7", "bench.items=500"), "bench.ks"),
        (("experiment=table7", "bench.indexes=[flat,foo]"), "'foo' is unknown"),
        (("experiment=table7", "bench.items=50000000"), "GiB are free"),
        (("experiment=table7", "bench.queries=many"), "bench.queries is 'many'"),
        (("experiment=figure4", "bench.results=[nowhere]"), "nowhere"),
        (("experiment=figure4", "bench.results=nowhere"), "give a list"),
        (("experiment=pareto", "bench.items=100"), "256 of both"),
    ],
)
def test_a_bench_that_cannot_run_says_so_before_it_starts(run, tmp_path, overrides, message):
    with pytest.raises(FicoError, match=message):
        run(*overrides)
    assert not list(tmp_path.iterdir())


def test_the_command_line_ends_with_one_sentence_and_exit_code_2(tmp_path, warm_python):
    done = warm_python("run.py", f"hydra.run.dir={tmp_path}", "experiment=table7", "bench.items=500")
    assert done.returncode == 2
    assert len([line for line in done.stderr.strip().splitlines() if " INFO " not in line]) == 1
    assert "bench.ks" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("experiment=table7", "+bench.foo=1"), "unknown key bench.foo"),
        (("experiment=table7", "+foo=1"), "unknown key foo"),
        (("experiment=table7", "model=ucch"), "a bench runs without model"),
        (("experiment=figure4", "index=hnsw"), "a bench runs without index"),
        (("experiment=pareto", "stage=[fit]"), "a bench has no stages"),
        (("bench=table7",), "a bench runs without model"),
    ],
)
def test_what_has_no_effect_beside_a_bench_is_refused(overrides, message):
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        check_config(composed(*overrides))


def test_a_wrong_value_is_told_before_lightning_is_loaded():
    code = "import sys, fico.experiment.bench; assert 'pytorch_lightning' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
