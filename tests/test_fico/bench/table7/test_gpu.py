"""Table 7 on a GPU, its steps on the CPU: what is measured of what, and what is refused."""

import pytest

from fico.bench.table7 import device_limits
from fico.bench.table7 import gpu as table7_gpu
from fico.bench.table7.gpu import Table7Gpu
from fico.errors import UsageError
from fico.report.table.markdown import as_markdown

SMALL = {"queries": 60, "items": 700, "dim": 48, "bits": 32, "hybrid_bits": 32, "ks": (1, 50), "truth": 20}


@pytest.fixture
def no_gpu(monkeypatch):
    """What only a GPU can tell, told by hand."""
    limits = device_limits.DeviceLimits(half=1e12, bytes_=2e12, copied=1e11)
    monkeypatch.setattr(table7_gpu, "measure", lambda device: limits)
    monkeypatch.setattr(table7_gpu.torch.cuda, "get_device_name", lambda device=None: "none")
    monkeypatch.setattr(table7_gpu, "_check_gpu", lambda device: None)
    return limits


def test_exact_searches_find_everything_and_rows_say_what_was_measured(no_gpu):
    told = []
    outcome = Table7Gpu(**SMALL, device="cpu").run(told.append)
    rows = {row["index"]: row for row in outcome.rows}
    assert list(rows) == ["flat", "popcount", "hybrid"]
    assert rows["flat"]["top1_in_k"] == rows["flat"]["overlap_at_k"] == {1: 1.0, 50: 1.0}
    assert rows["hybrid"]["top1_in_k"][50] > rows["popcount"]["top1_in_k"][1]
    same_codes = pytest.approx(rows["popcount"]["overlap_at_k"][50], abs=0.1)  # but for ties at the last place
    assert rows["hybrid"]["overlap_at_k"][50] == same_codes
    pairs = 60 * 700
    assert rows["flat"]["roofline_seconds"] == pytest.approx(2 * 48 * pairs / 1e12)
    assert rows["popcount"]["roofline_seconds"] == pytest.approx(2 * 32 * pairs / 2e12)
    assert rows["hybrid"]["roofline_seconds"] == pytest.approx(2 * 32 * pairs / 2e12 + 60 * 50 * 2 * 48 / 1e11)
    assert outcome.details["half_operations_per_second"] == 1e12
    assert told[-3:] == ["flat", "popcount", "hybrid"]
    text = as_markdown(outcome.tables[0])
    assert "one none" in text
    assert len(outcome.tables[0].rows) == 3


def test_the_paper_stands_beside_its_sizes(no_gpu):
    row = {name: 1.0 for name in ("build_seconds", "encode_seconds", "search_seconds", "roofline_seconds")}
    row |= {"index": "popcount", "settings": "p", "gpu": "g", "index_bytes": 1, "queries": 1000}
    row |= {kind: {1: 0.5, 100: 0.5, 1000: 0.5} for kind in ("top1_in_k", "overlap_at_k")}
    table = table7_gpu.gpu_table([row], 1_000_000, 5_000_000, (1, 100, 1000))
    assert table.rows[0].texts[:2] == ("p", "1,000")
    assert table.rows[1].texts[:5] == ("paper", "1,000,000", "0.02", "", "692.80")
    assert table.rows[1].texts[8:11] == ("6.9", "56.1", "84.3")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"device": "cuda:77"}, "torch finds"),
        ({}, "bench.device is cpu, but this is the bench of a GPU"),
        ({"queries": None}, "bench.queries is None"),
        ({"truth": None}, "bench.truth is None"),
        ({"seed": "x"}, "bench.seed is 'x'"),
        ({"indexes": ("hnsw",)}, "'hnsw' is unknown"),
        ({"candidates": 10}, "bench.candidates is 10, but the largest of bench.ks is 50"),
        ({"queries": 0}, "bench.queries is 0"),
        ({"ks": (1, 701)}, "1 to the 700 items"),
        ({"hybrid_bits": 64}, "bench.hybrid_bits is 64.* at most 48"),
        ({"hybrid_bits": 520, "dim": 600}, "bench.hybrid_bits is 520; codes that choose"),
        ({"bits": 12}, "bits is 12"),
        ({"hybrid_bits": 12}, "bits is 12"),
        ({"ks": 10}, "bench.ks is 10, but must be a list"),
        ({"ks": (1, 2.5)}, "must be a list of whole numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(changed, told):
    with pytest.raises(UsageError, match=told):
        Table7Gpu(**SMALL | {"device": "cpu"} | changed).check()
