"""``fico cascade``: measures, prints and writes a cascade of two runs."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fico.bench.cascade.cascade import measure
from fico.bench.cascade.outputs import write_cascade
from fico.bench.cascade.request import Request
from fico.bench.cascade.table import cascade_tables
from fico.report.table.terminal import print_table


def run_cascade(request: Request, out: Path | None, *, device: str, report: Callable[[str], None]) -> Path:
    """Measures a cascade, prints its tables and writes the files of a run.

    Args:
        request: Checked.
        out: Where to write; None: a new folder below ``outputs/cascade``.
        device: Of the ranker.
        report: Receives each step.

    Returns:
        The folder.

    Raises:
        DataError: Files of a run are damaged.
    """
    begin = time.perf_counter()
    outcome = measure(request, device=device, report=report)
    for table in cascade_tables(outcome, request.rank.results.data.split):
        print_table(table)
    folder = out or _new_folder(request)
    write_cascade(folder, request, outcome, time.perf_counter() - begin)
    return folder


def _new_folder(request: Request) -> Path:
    now = datetime.now().astimezone()
    name = f"{now:%H-%M-%S-%f}-{request.screen.label}-{request.rank.label}-{request.rank.results.data.name}"
    return Path("outputs/cascade") / f"{now:%Y-%m-%d}" / name
