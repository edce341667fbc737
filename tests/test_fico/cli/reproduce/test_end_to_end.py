"""`fico reproduce` from files in the authors' forms to tables and figures, on folders like the data sets' own."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.reproduce import reproduce as steps_module
from fico.report.paper.report import paper_report
from fico.report.results.runs import find_runs
from tests.test_fico.cli.reproduce.paper_data import write_dataset
from tests.test_fico.cli.reproduce.released_weights import names_of, reference_names, write_weights

ROOT = Path(__file__).resolve().parents[4]
COUNTS = {"train": 20, "val": 5, "test": 12}
FAST = (
    "model.size=tiny", "dataset.rerank_k=3", "bench.indexes=[flat,popcount]", "bench.dim=16", "bench.bits=16",
    "metric.bootstrap=2", "+callbacks.times.copies=[1]", "+callbacks.times.repeats=1", "+callbacks.times.seconds=1e-9",
    "+callbacks.attention.images=[2,4]", "+callbacks.attention.k=2",
)  # fmt: skip
FEW = (
    "dataset.expected=null",
    "dataset.expected_captions=null",
    "bench.queries=40",
    "bench.items=200",
    "bench.ks=[1,10]",
)
TITLES = ("Table 1", "Table 2", "Table 3", "Table 4", "Table 5", "Table 6", "Table 7", "Figure 3", "Figure 4")
TAKEN = ("ucch", "vsrn", "blip2")  # each run takes 2 s


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files for both data sets, and the networks whose weights they hold."""
    folder = tmp_path_factory.mktemp("weights")
    return folder, {dataset: write_weights(folder, dataset) for dataset in ("flickr30k", "coco")}


def test_the_weights_here_have_the_names_of_the_authors(weights):
    files = [file for file in weights[0].iterdir() if file.suffix in (".pth", ".tar", ".t7")]
    assert len(files) > 15
    for file in files:
        model = re.split(r"[-_]", file.name)[0]
        known = reference_names(model)
        known |= {name.removeprefix("generator.") for name in known if model == "dadh"}
        assert names_of(file) <= known, file.name


@pytest.mark.parametrize("dataset", ["flickr30k", "coco"])
def test_every_released_form_gives_back_the_weights(weights, dataset):
    for name, network in weights[1][dataset].items():
        wanted = {key: value.clone() for key, value in network.state_dict().items()}
        for value in network.state_dict().values():
            value.zero_()
        network.load_released(weights[0] / name)
        for key, value in network.state_dict().items():
            if key != "temp" and not key.endswith("num_batches_tracked"):  # a folder of transformers has no temperature
                assert torch.equal(value, wanted[key].where(~_unset(key, wanted[key]), 0)), (name, key)


def _unset(key, value):
    """The bias of the keys in BLIP-2's image encoder, which the authors have not."""
    rows = torch.zeros_like(value, dtype=torch.bool)
    if key.endswith("self_attn.qkv.bias"):
        rows[len(value) // 3 : 2 * len(value) // 3] = True
    return rows


def test_released_files_become_tables_and_an_interrupted_command_goes_on(weights, tmp_path, warm_python, monkeypatch):
    folder = tmp_path / "the paper, again"  # a shell would have to quote it
    write_dataset(folder / "data" / "flickr30k", "flickr30k", COUNTS)
    (folder / "weights").mkdir()
    for file in weights[0].iterdir():
        if file.name.split("-")[0] in TAKEN and "flickr30k" in file.name:
            (folder / "weights" / file.name).symlink_to(file)
    codes = []

    def start(command):
        if len(codes) == 1:
            codes.append(143)  # as the second run does by SIGTERM
        else:
            codes.append(warm_python(*command[1:], env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode)
        return codes[-1]

    monkeypatch.setattr(steps_module, "run_to_its_end", start)
    options = ["--weights", folder / "weights", "--data", folder / "data", "--out", folder / "out"]
    first = CliRunner().invoke(app, ["reproduce", *map(str, options), *FAST, *FEW])
    assert first.exit_code == 143, first.output
    assert "interrupted by SIGTERM; the same command goes on from there" in first.output
    done = CliRunner().invoke(app, ["reproduce", *map(str, options), *FAST, *FEW])
    assert done.exit_code == 0, done.output
    assert done.output.count("finished before") == 1
    assert codes == [0, 143, *[0] * 5]
    report = (folder / "out" / "report" / "report.md").read_text()
    assert all(title in report for title in TITLES)
    assert "Table 6: attention at query time at the paper's sizes" in report
    assert "| – |" not in report.split("Table 2")[1].split("###")[0].replace("| – | tiny", "")  # n/a has its note
    results = [run.results for run in find_runs([folder / "out"]).runs]
    as_paper = [replace(run, model=replace(run.model, size="paper")) for run in results]
    for table in paper_report(as_paper).tables:
        if table.key == "table5-flickr30k":  # of paper size the paper's rows stand below ours
            assert [row.kind for row in table.rows].count("paper") == 3  # of ucch, vsrn, blip2


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
def test_the_data_sets_at_full_size(tmp_path):
    """All models on the annotations of 123,287 and 31,014 images, whatever of them an hour allows; killed once."""
    for dataset in ("flickr30k", "coco"):
        write_dataset(tmp_path / "data" / dataset, dataset)
        write_weights(tmp_path / "weights", dataset)
    command = [
        sys.executable, "-m", "fico", "reproduce", "--weights", tmp_path / "weights", "--data", tmp_path / "data",
        "--out", tmp_path / "out", "--budget", "1h", *FAST, "bench.queries=1000", "bench.items=5000",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.Popen(command, cwd=tmp_path, env=environment)
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(40)
    killed.send_signal(signal.SIGTERM)
    assert killed.wait() == 128 + signal.SIGTERM
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
    report = (tmp_path / "out" / "report" / "report.md").read_text()
    assert "5,000 images, 25,010 captions" in report
    assert "1,000 images, 5,000 captions" in report
