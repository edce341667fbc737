"""Runs side by side."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fico.errors import UsageError
from fico.report.compare.compare import compare
from fico.report.results.runs import Run, find_runs, is_run
from fico.report.results.schema import RESULTS, read_results
from fico.report.table.table import Grid
from fico.report.table.terminal import print_grid
from fico.report.table.text import comma_separated, latex, markdown
from fico.util.atomic import atomic_write

FORMATS = {".md": markdown, ".tex": latex, ".csv": comma_separated}


def compare_runs(folders: Sequence[Path], *, every: bool = False) -> tuple[Grid, tuple[tuple[Path, str], ...]]:
    """Reads the runs and compares them.

    Args:
        folders: Of runs, or of sweeps, which give all their finished runs.
        every: All metrics, not only those that a run prints.

    Returns:
        The table, and the unfinished runs of sweeps with the reason.

    Raises:
        UsageError: Fewer than two runs, or runs that cannot be compared.
        DataError: A folder that was named itself holds an unfinished or damaged run.
    """
    runs: dict[Path, Run] = {}
    left_out: list[tuple[Path, str]] = []
    for folder in map(Path, folders):
        if is_run(folder) or folder.name == RESULTS:
            place = (folder.parent if folder.name == RESULTS else folder).resolve()
            runs.setdefault(place, Run(place, read_results(place)))
        else:
            found = find_runs([folder], keep_repeats=True)
            left_out += found.left_out
            for run in found.runs:
                runs.setdefault(run.folder, run)
    return compare(list(runs.values()), every=every), tuple(left_out)


def print_comparison(grid: Grid, *, as_markdown: bool) -> None:
    """Prints the table for the terminal, or as Markdown."""
    if as_markdown:
        sys.stdout.write(markdown(grid))
    else:
        print_grid(grid)


def write_comparison(path: Path, grid: Grid) -> None:
    """Writes the table as Markdown, LaTeX or CSV, by the file's ending.

    Raises:
        UsageError: Another ending.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"--out {path} ends in {path.suffix or 'nothing'}; wanted is one of {', '.join(FORMATS)}")
    with atomic_write(path) as temporary:
        temporary.write_text(FORMATS[path.suffix](grid), encoding="utf-8", newline="")
