"""Table 7: what is timed."""

from fico.bench.table7.table7 import Table7
from fico.search.hamming.kernel import scan, screen
from fico.search.hybrid.kernel import rerank, smallest


def test_no_compilation_is_timed(monkeypatch):
    kernels, seen = (scan, screen, rerank, smallest), []

    def spied(*arguments, real=Table7._measure):
        before = [kernel.signatures for kernel in kernels]
        row = real(*arguments)
        seen.append((before, [kernel.signatures for kernel in kernels]))
        return row

    monkeypatch.setattr(Table7, "_measure", spied)
    Table7(queries=5, items=200, dim=64, indexes=["popcount", "hybrid"], ks=[1], threads=1).run(lambda step: None)
    assert [after for _, after in seen] == [before for before, _ in seen]
    assert all(seen[-1][1])
