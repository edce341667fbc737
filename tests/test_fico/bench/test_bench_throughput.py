"""The throughput bench at a few items, and counts that can be worked out by hand."""

import re

import pytest

from fico.bench.throughput import WORKS, counted, main


def test_it_measures_every_work_in_both_precisions_and_counts_it(capsys):
    main(["--device", "cpu", "--most", "4", "--seconds", "0", "--counted", "tiny"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    measured = [row for row in cells if row[1] in ("float32", "bfloat16")]
    assert [row[0] for row in measured[::2]] == [work.name for work in WORKS]
    for single, half in zip(measured[::2], measured[1::2], strict=True):
        assert single[4] == "0 / 0"
        largest, mean = map(float, half[4].split(" / "))
        assert 0 < mean < largest < 0.5
        assert all(float(row[2].replace(",", "")) > 0 for row in (single, half))
    assert len([row for row in cells if row[0] in {work.name for work in WORKS}]) == 3 * len(WORKS)
    assert all(re.fullmatch(r"[\d.e+-]+", cell) for row in cells[-len(WORKS) :] for cell in row[1:])


def test_scan_is_counted_as_its_products():
    """Regions times words, and their weights times the Gram matrix, with 36 regions, 13 words and 32 channels."""
    scan = next(work for work in WORKS if work.name.startswith("SCAN"))
    flops, operations, moved = counted(scan, "tiny")
    products = 2 * 36 * 13 * 32 + 2 * 13 * 36 * 36
    assert flops == pytest.approx(products + 2 * 36 * 36 * 32 / 128)  # a Gram matrix serves 128 captions
    assert operations < 50 / 128**2
    assert moved > 4 * 36 * 13
