"""Every table and figure of the paper that some runs can fill."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fico.report.explore.pages import write_explore_pages
from fico.report.mteb.read import read_folder
from fico.report.mteb.table import mteb_tables
from fico.report.paper.report import PaperReport, paper_report, write_paper_report
from fico.report.results.runs import FoundRuns, find_runs


def report_runs(
    folders: Sequence[Path], out: Path | None, mteb: Path | None = None
) -> tuple[Path, FoundRuns, PaperReport]:
    """Finds the runs, fills the tables and writes them.

    Args:
        folders: Of runs, or with runs somewhere below.
        out: Where to write; ``report`` in the first folder if not given.
        mteb: Folder in mteb's layout, whose models become rows beside the runs.

    Returns:
        The folder written to, the runs, and what they filled; the remarks say which page there is not.

    Raises:
        UsageError: A folder is missing, or no run in them is finished.
        DataError: A file of mteb's is broken.
    """
    theirs = read_folder(mteb) if mteb else []
    found = find_runs(folders)
    results = [run.results for run in found.runs]
    report = paper_report(results, [run.results for run in found.repeats])
    report = replace(report, tables=(*report.tables, *mteb_tables(results, theirs)))
    folder = out or Path(folders[0]) / "report"
    pages, remarks = write_explore_pages(folder, found.runs)
    report = replace(report, remarks=(*report.remarks, *remarks))
    write_paper_report(folder, found, report, pages)
    return folder, found, report
