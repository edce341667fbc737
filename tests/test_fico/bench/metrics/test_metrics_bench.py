"""The bench of the evaluation engine runs, names what it skips and counts times against the engine."""

import contextlib
import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from fico.bench.metrics import evaluation as metrics
from fico.bench.metrics import peers as metrics_peers
from fico.bench.metrics.roofline import Rates, measure_rates, necessary
from fico.bench.metrics.targets import TARGETS
from fico.report.table.markdown import as_markdown


def test_the_bench_measures_the_engine_the_limit_and_the_peers_that_are_there(monkeypatch):
    def absent(data, work):
        raise ImportError("No module named 'absent'")

    peers = {name: metrics_peers.PEERS[name] for name in ("hashing loop", "torchmetrics")}
    monkeypatch.setattr(metrics, "PEERS", peers | {"absent": (absent, ("1k",), ("float",))})
    monkeypatch.setattr(metrics, "SIZES", {"1k": (12, 36)})
    console = Console(record=True, file=io.StringIO())
    rows = metrics.run("1k", ["hashing loop", "torchmetrics", "absent"], 1, 0.0, console)
    assert [(row.work.split()[0], row.name) for row in rows] == [
        ("float", "fico"), ("float", "limit"), ("float", "torchmetrics"), ("codes", "fico"), ("codes", "hashing loop"),
    ]  # fmt: skip
    table = as_markdown(metrics.comparison_table(rows))
    assert "| float 12/36 | fico |" in table
    assert "of the roofline, %" in table
    assert all(0 < row.roofline < row.timing.seconds for row in rows)
    assert "absent skipped: No module named 'absent'" in console.export_text()
    assert "| 1.00 |" in table


def test_peers_agree_with_the_engine_where_their_definitions_do():
    data = metrics.problem(40, 120, 16, 16)
    metrics_result = metrics.engine(data, "float")().metrics
    found = metrics_peers.torchmetrics(data, "float")()
    names = [f"instance/{{}}/R@{k}" for k in (1, 5, 10)] + [f"category/{{}}/mAP@{k}" for k in (10, 100, "N")]
    for n, side in enumerate(("i2t", "t2i")):
        for name, value in zip(names, found[6 * n : 6 * n + 6], strict=True):
            assert abs(metrics_result[name.format(side)] - float(value)) < 1e-5, name
    loop = metrics_peers.torch_loop(data, "float")()
    for n, side in enumerate(("i2t", "t2i")):
        for name, value in zip(names, loop[6 * n : 6 * n + 6], strict=True):
            assert abs(metrics_result[name.format(side)] - value) < 1e-5, name
    codes = metrics.engine(data, "codes")()
    loop = metrics_peers.hashing_loop(data, "codes")()
    for key, value in zip([f"category/{d}/mAP@{k}" for d in ("i2t", "t2i") for k in (10, 100, "N")], loop, strict=True):
        low, high = codes.tie_bounds[key]
        assert low - 0.02 <= value <= high + 0.02


def test_the_bench_counts_operations(capsys):
    metrics.main(["--sizes", "1k", "--operations"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines if "1,000 / 5,000" in line] == ["float", "codes"]
    counts = [int(line.split("|")[4].replace(",", "")) for line in lines if "1,000 / 5,000" in line]
    assert all(100 < count <= 2000 for count in counts)


def test_the_bench_times_the_torch_engine():
    data = metrics.problem(12, 36, 16, 16)
    kernels, tensors = (metrics.engine(data, "float", "cpu", kind)() for kind in ("compiled", "torch"))
    assert kernels.metrics.keys() == tensors.metrics.keys()


def test_peers_that_cannot_run_on_a_device_say_that_they_ran_on_the_cpu(monkeypatch):
    """The meta device computes nothing, but every peer that takes a device moves its data there."""
    calls = {name: (lambda data, work: lambda: data.device, ("1k",), ("codes",)) for name in ("torch loop", "ranx")}
    monkeypatch.setattr(metrics, "PEERS", calls)
    monkeypatch.setattr(metrics, "SIZES", {"1k": (12, 36)})
    monkeypatch.setattr(metrics, "measure_rates", lambda device: Rates(1e12, 1e12))
    monkeypatch.setattr(metrics, "engine", lambda *arguments: lambda: None)
    rows = metrics.run("1k", list(calls), 1, 0.0, Console(quiet=True), "meta")
    assert [row.name for row in rows if row.work.startswith("codes")] == ["fico", "torch loop", "ranx (CPU)"]


def test_the_roofline_is_the_slower_of_operations_and_bytes():
    codes, floats, ranks = (necessary(work, 100, 500, 64) for work in ("codes", "float", "R@K"))
    assert floats.flops == ranks.flops == codes.flops == 2 * 100 * 500 * 64
    assert codes.bytes == 600 * 8 + 3 * 50_000
    assert ranks.bytes == 600 * 64 * 4 + 3 * 4 * 50_000
    assert floats.bytes == ranks.bytes + 2 * 2 * 4 * 4 * 50_000
    assert floats.seconds(Rates(1e6, 1e12)) == 6.4
    assert floats.seconds(Rates(1e15, 1e6)) == floats.bytes / 1e6
    rates = measure_rates("cpu", repeats=1)
    assert 1e8 < rates.flops < 1e15
    assert 1e8 < rates.bytes < 1e14


def test_all_targets_are_measured_in_one_go(monkeypatch, capsys):
    def here(command, **_):  # without the imports of another process
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(command[2], {})
        return SimpleNamespace(stdout=output.getvalue())

    monkeypatch.setattr("fico.bench.metrics.targets.subprocess.run", here)
    metrics.main(["--targets", "--device", "cpu", "--engine", "torch", "--scale", "500", "--repeats", "1"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()][2:]
    rows = [[cell.strip() for cell in row[1:-1]] for row in rows if len(row) > 5]
    wanted = [(t.work, f"{t.images // 500:,} / {t.captions // 500:,}", f"{t.seconds:g}") for t in TARGETS]
    assert [(row[0], row[1], row[3]) for row in rows][-5:] == wanted
    assert all(float(row[4]) > 0 and float(row[5]) > 0 for row in rows[-5:])


def test_the_command_compares_with_the_peers_that_are_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(metrics, "SIZES", {"1k": (12, 36)})
    metrics.main(["--sizes", "1k", "--device", "cpu", "--peers", "torch loop", "--repeats", "1"])
    assert "| torch loop |" in capsys.readouterr().out


def test_a_gpu_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        metrics.main(["--device", "cuda", "--targets"])
    assert ended.value.code == 2
    assert "--device cuda needs a CUDA device, and torch finds none; give --device cpu" in capsys.readouterr().err
