"""The pages of a report: ``explore.html`` for each data set that its runs share."""

import re
from collections.abc import Sequence
from pathlib import Path

from fico.errors import DataError
from fico.report.explore.content import explored
from fico.report.explore.page import write_explore
from fico.report.results.runs import FinishedRun
from fico.report.results.schema import DataInfo
from fico.report.results.seeds import is_untrained


def write_explore_pages(folder: Path, runs: Sequence[FinishedRun]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Writes ``explore.html``, or ``explore-DATA.html`` for each of several data sets.

    Args:
        folder: Where to write.
        runs: Finished runs of any data.

    Returns:
        Data set by file name, and a sentence for each data set that no page can show.
    """
    groups: dict[tuple[str, str, str], list[FinishedRun]] = {}
    for run in runs:
        if run.results.metrics and not is_untrained(run.results):
            data = run.results.data
            groups.setdefault((data.name, data.split, data.fingerprint), []).append(run)
    pages: dict[str, str] = {}
    remarks: list[str] = []
    for members in groups.values():
        data = members[0].results.data
        name = "explore.html" if len(groups) == 1 else f"explore-{_key(data)}.html"
        try:
            write_explore(folder / name, explored(members))
            pages[name] = f"{data.name} {data.split}"
        except DataError as error:
            remarks.append(f"there is no {name} of {data.name} {data.split}: {error}")
    return pages, tuple(remarks)


def _key(data: DataInfo) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{data.name}-{data.split}-{data.fingerprint[:8]}").strip("-")
