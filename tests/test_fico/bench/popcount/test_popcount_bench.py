"""The bench of the Hamming search, small: its rates fit together, and a wrong result stops it."""

import json

import numpy as np
import pytest

from fico.bench.popcount import popcount
from fico.bench.popcount.limit import limit_call
from fico.errors import DataError
from fico.types import Ranking


def test_the_command_writes_what_it_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(popcount, "_LIMIT_PAIRS", 10**7)
    options = "--items=30000 --queries=8 --bits=64,128 --k=1,20 --repeats=2"
    popcount.main([*options.split(), "--out", str(tmp_path / "o")])
    rows = json.loads((tmp_path / "o").read_text())
    assert [(row["bits"], row["items"], row["k"]) for row in rows] == [
        (64, 30_000, 1),
        (64, 30_000, 20),
        (128, 15_000, 1),
        (128, 15_000, 20),
    ]
    assert all(row[name] > 0 for row in rows for name in ("ours", "faiss", "limit", "threads_work", "threads_wall"))
    assert "of limit" in capsys.readouterr().out


@pytest.mark.parametrize("bits", [64, 256, 512])
def test_the_limit_compares_as_many_pairs_as_it_says(bits):
    call, pairs = limit_call(bits, 10**5)
    assert 0.5 * 10**5 < pairs <= 10**5
    assert call() == 0  # nothing is 0 away from a random query
    assert limit_call(bits, 1)[1] >= 128


def test_a_wrong_result_stops_the_bench():
    right, wrong = (Ranking(np.array([[score]]), np.array([[0]])) for score in (-1, -2))
    with pytest.raises(DataError, match="disagree"):
        popcount._check({"one": lambda: right, "two": lambda: right, "faiss": lambda: wrong})


def test_a_search_takes_the_memory_that_is_predicted():
    taken, predicted = popcount.measure_memory(1_000_000, 5000, 100, threads=1)
    assert taken < predicted + 2**24  # the allocator keeps some pages


def test_the_memory_is_told_beside_its_prediction(capsys):
    popcount.main(["--memory", "--items=20000"])
    assert "20,000 codes of 64 bits, 10,000 queries, k = 100" in capsys.readouterr().out
