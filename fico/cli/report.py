"""Every table and figure of the paper that some runs can fill."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fico.report.explore.pages import write_explore_pages
from fico.report.paper.report import PaperReport, paper_report, write_paper_report
from fico.report.results.runs import FoundRuns, find_runs


def report_runs(folders: Sequence[Path], out: Path | None) -> tuple[Path, FoundRuns, PaperReport]:
    """Finds the runs, fills the tables and writes them.

    Args:
        folders: Of runs, or with runs somewhere below.
        out: Where to write; ``report`` in the first folder if not given.

    Returns:
        The folder written to, the runs, and what they filled; the remarks say which page there is not.

    Raises:
        UsageError: A folder is missing, or no run in them is finished.
    """
    found = find_runs(folders)
    report = paper_report([run.results for run in found.runs], [run.results for run in found.repeats])
    folder = out or Path(folders[0]) / "report"
    pages, remarks = write_explore_pages(folder, found.runs)
    report = replace(report, remarks=(*report.remarks, *remarks))
    write_paper_report(folder, found, report, pages)
    return folder, found, report
