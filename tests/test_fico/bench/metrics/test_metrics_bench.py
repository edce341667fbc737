"""The bench of the evaluation engine runs, names what it skips and counts times against the engine."""

from rich.console import Console

from fico.bench.metrics import evaluation as metrics
from fico.bench.metrics import peers as metrics_peers
from fico.report.table.markdown import as_markdown


def test_the_bench_measures_the_engine_the_limit_and_the_peers_that_are_there(monkeypatch):
    def absent(data, work):
        raise ImportError("No module named 'absent'")

    peers = {name: metrics_peers.PEERS[name] for name in ("hashing loop", "torchmetrics")}
    monkeypatch.setattr(metrics, "PEERS", peers | {"absent": (absent, ("1k",), ("float",))})
    monkeypatch.setattr(metrics, "SIZES", {"1k": (12, 36)})
    console = Console(record=True, quiet=True)
    rows = metrics.run("1k", ["hashing loop", "torchmetrics", "absent"], 1, 0.0, console)
    assert [(row.work.split()[0], row.name) for row in rows] == [
        ("float", "fico"), ("float", "limit"), ("float", "torchmetrics"), ("codes", "fico"), ("codes", "hashing loop"),
    ]  # fmt: skip
    table = as_markdown(metrics.comparison_table(rows))
    assert "| float 12/36 | fico |" in table
    assert "| 1.00 |" in table


def test_peers_agree_with_the_engine_where_their_definitions_do():
    data = metrics.problem(40, 120, 16, 16)
    metrics_result = metrics.engine(data, "float")().metrics
    found = metrics_peers.torchmetrics(data, "float")()
    names = [f"instance/{{}}/R@{k}" for k in (1, 5, 10)] + [f"category/{{}}/mAP@{k}" for k in (10, 100, "N")]
    for n, side in enumerate(("i2t", "t2i")):
        for name, value in zip(names, found[6 * n : 6 * n + 6], strict=True):
            assert abs(metrics_result[name.format(side)] - float(value)) < 1e-5, name
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
