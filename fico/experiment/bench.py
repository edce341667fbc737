"""A run without a model: a bench of ``fico.bench``, from its checked config to the files of its folder."""

import csv
import io
import logging
import random
import sys
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from fico.bench.loggers import log_outcome
from fico.bench.outcome import Bench, Outcome, predictions
from fico.bench.page import write_page
from fico.experiment.build import build
from fico.experiment.folder import print_folder, write_config
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.sweep import is_finished, run_key
from fico.report.figures.files import write_figures
from fico.report.results.schema import RESULTS, DataInfo, ModelInfo, Results, SearchRow, results_text
from fico.report.table.markdown import as_markdown
from fico.report.table.terminal import print_table
from fico.util.atomic import atomic_write
from fico.util.provenance import commit, hardware, versions

log = logging.getLogger(__name__)


def run(config: DictConfig, unfinished: Unfinished) -> Path:
    """Measure as the ``bench`` node says.

    Args:
        config: Checked by `fico.experiment.config.checks.check_config`.
        unfinished: The mark in the run's folder; times that a killed process measured are not used.

    Returns:
        The run's folder, whose path is also the last line of standard output. ``results.json`` is in it.

    Raises:
        FicoError: Whatever the user can fix; what does not fit into memory is refused before anything starts.
    """
    begin, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    bench: Bench = build(config.bench)
    bench.check()
    folder = unfinished.folder
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    key = run_key(plain, [])
    if unfinished.is_resumed and is_finished(folder, key):
        log.info("%s holds the results of the same config and code; nothing to do", folder)
        return print_folder(folder)
    _quiet()
    random.seed(bench.seed)
    np.random.seed(bench.seed)  # noqa: NPY002  libraries draw from it
    if bench.predicted():
        print_table(predictions(bench), sys.stderr)
    write_config(folder, config)
    outcome = _measured(bench, config, plain, folder)
    results = _results(bench, outcome, plain, key=key, started=started, seconds=time.perf_counter() - begin)
    _write(folder, results, outcome)
    return print_folder(folder)


def _measured(bench: Bench, config: DictConfig, plain: dict[str, Any], folder: Path) -> Outcome:
    if not config.get("logger"):
        return bench.run(_report)
    from fico.experiment.loggers.open import open_loggers
    from fico.experiment.loggers.run_metadata import bench_metadata

    with open_loggers(config.logger, folder, bench_metadata(plain)) as loggers:
        outcome = bench.run(_report)
        log_outcome(loggers, outcome)
    return outcome


def _quiet() -> None:
    """Keep the developer advice of libraries out of the user's log."""
    warnings.filterwarnings("ignore", ".*Experiment logs directory .* exists.*")  # ours: Hydra has made it
    logging.getLogger("faiss").setLevel(logging.ERROR)


def _report(step: str) -> None:
    log.info("measuring: %s", step)


def _results(
    bench: Bench, outcome: Outcome, plain: dict[str, Any], *, key: str, started: str, seconds: float
) -> Results:
    """Without model and metrics; the images are the items and the captions the queries of the bench."""
    items = max(row["items"] for row in outcome.rows)
    queries = max(row.get("all_queries", row["queries"]) for row in outcome.rows)
    return Results(
        name=str(plain["name"]),
        seed=bench.seed,
        started=started,
        seconds=round(seconds, 3),
        commit=commit(),
        model=ModelInfo("none", None, None, bench.dim, None, "float32"),
        data=DataInfo("synthetic", "bench", items, queries, 0, f"seed {bench.seed}"),
        metrics={},
        efficiency={"embedding_bytes": 4 * bench.dim * (items + queries), **_numbers(outcome.details)},
        search=tuple(SearchRow.from_mapping(row) for row in outcome.rows),
        versions=versions(),
        hardware=hardware(),
        config=plain,
        key=key,
        notes=outcome.notes,
    )


def _numbers(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name.endswith(("_seconds", "_bytes", "_per_second"))}


def _write(folder: Path, results: Results, outcome: Outcome) -> None:
    """Figures, page, tables, and last ``results.json``."""
    (folder / RESULTS).unlink(missing_ok=True)
    svgs = write_figures(folder, outcome.figures)
    write_page(folder / "report.html", results, outcome, svgs)
    texts = {
        "report.md": "\n".join([*map(as_markdown, outcome.tables), *outcome.notes]) + "\n",
        "results.csv": _csv(outcome),
    }
    for table in outcome.tables:
        print_table(table)
    for note in outcome.notes:
        sys.stdout.write(f"{note}\n")
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    with atomic_write(folder / RESULTS) as temporary:
        temporary.write_text(results_text(results, folder), encoding="utf-8")


def _csv(outcome: Outcome) -> str:
    """One row per index; tables by k become a column for each k."""
    flat = [_flat(row) for row in outcome.rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return table.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        nested = value if isinstance(value, Mapping) else None
        flat |= {name: value} if nested is None else {f"{name}/{inner}": nested[inner] for inner in nested}
    return flat
