"""Table 7 of the paper, as printed: recall in percent, seconds of a whole 56-core machine.

Source:
    arXiv 2407.20114v3. A flat and a partitioned search of the same codes cannot differ as 60.6 and 68.9 do (R@100, 100K
    and 500K): one of the two is a misprint.
"""

from typing import NamedTuple

from fico.report.paper.published_metrics import paper_tables


class PaperRow(NamedTuple):
    """One row, None where a figure is not given."""

    recall: dict[int, float]
    search_seconds: float | None
    build_seconds: float | None


def _rows() -> dict[tuple[int, int], dict[str, PaperRow]]:
    found: dict[tuple[int, int], dict[str, PaperRow]] = {}
    for sizes, rows in paper_tables()["table7"]["rows"].items():
        queries, items = map(int, sizes.split("/"))
        found[queries, items] = {
            index: PaperRow(dict(zip((1, 100, 1000), recall, strict=True)), search, build)
            for index, (*recall, build, search) in rows.items()
        }
    return found


PAPER = _rows()  # (queries, items) -> index -> figures
