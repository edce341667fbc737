"""Runs side by side."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fico.embeddings.manifest import read_manifest
from fico.errors import UsageError
from fico.inference.inputs import StoredInputs
from fico.report.mteb.read import read_folder
from fico.report.mteb.table import mteb_tables
from fico.report.results.runs import FinishedRun, find_runs, is_run
from fico.report.results.schema import RESULTS, read_results
from fico.report.table.comma_separated import as_csv
from fico.report.table.latex import as_latex
from fico.report.table.markdown import as_markdown
from fico.report.table.table import Table
from fico.report.table.terminal import print_table
from fico.util.atomic import atomic_write

FORMATS = {".md": as_markdown, ".tex": as_latex, ".csv": as_csv}


def read_runs(folders: Sequence[Path]) -> tuple[list[FinishedRun], tuple[tuple[Path, str], ...]]:
    """Reads runs once each.

    Args:
        folders: Of runs, or of sweeps, which give all their finished runs.

    Returns:
        The runs, and the unfinished ones of sweeps with the reason.

    Raises:
        UsageError: A folder of runs has none that finished.
        DataError: A folder that was named itself holds an unfinished or damaged run.
    """
    runs: dict[Path, FinishedRun] = {}
    left_out: list[tuple[Path, str]] = []
    for folder in map(Path, folders):
        if is_run(folder) or folder.name == RESULTS:
            run_folder = (folder.parent if folder.name == RESULTS else folder).resolve()
            runs.setdefault(run_folder, FinishedRun(run_folder, read_results(run_folder)))
        else:
            found = find_runs([folder], keep_repeats=True)
            left_out += found.left_out
            for run in found.runs:
                runs.setdefault(run.folder, run)
    return list(runs.values()), tuple(left_out)


def beside_mteb(runs: Sequence[FinishedRun], folder: Path) -> list[Table]:
    """The runs beside the models of a folder in mteb's layout, a table for each task of both.

    Raises:
        UsageError: There is no such folder, or it has no task of the runs' data.
        DataError: A file in it is broken.
    """
    results = [run.results for run in runs]
    tables = mteb_tables(results, read_folder(folder))
    shared = [table for table in tables if any(row.kind == "run" for row in table.rows)]
    if not shared:
        data = ", ".join(sorted({f"{run.data.name} {run.data.split}" for run in results}))
        raise UsageError(f"{folder} has no results of mteb on {data}; leave --mteb out")
    return shared


def captions_of(runs: Sequence[FinishedRun]) -> dict[str, str]:
    """Texts of the tested captions by id, from the first run that keeps them; empty without one."""
    for folder in (run.folder for run in runs):
        if all((folder / part / "manifest.json").is_file() for part in ("inputs", "embeddings")):
            ids = read_manifest(folder / "embeddings")["texts"]["ids"]
            return dict(zip(ids, StoredInputs.load(folder).captions, strict=True))
    return {}


def check_ending(path: Path | None) -> None:
    """Refuses a file whose ending names no format.

    Raises:
        UsageError: It does not.
    """
    if path is not None and path.suffix not in FORMATS:
        raise UsageError(f"--out {path} ends in {path.suffix or 'nothing'}; give one of {', '.join(FORMATS)}")


def print_comparison(table: Table, *, in_markdown: bool) -> None:
    """Prints the table for the terminal, or as Markdown."""
    if in_markdown:
        sys.stdout.write(as_markdown(table))
    else:
        print_table(table)


def write_comparison(path: Path, table: Table) -> None:
    """Writes the table as Markdown, LaTeX or CSV, by the file's ending.

    Raises:
        UsageError: Another ending.
    """
    check_ending(path)
    with atomic_write(path) as temporary:
        temporary.write_text(FORMATS[path.suffix](table), encoding="utf-8", newline="")
