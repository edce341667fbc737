"""The files of a cascade: those of a run for each depth, and the table and figure of all of them."""

import csv
import io
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fico.bench.cascade.cascade import Outcome, System
from fico.bench.cascade.figure import draw
from fico.bench.cascade.request import NAME, Depth, Request, is_cascade
from fico.bench.cascade.table import cascade_tables
from fico.metrics.specification import DIRECTIONS
from fico.report.figures.files import write_figures
from fico.report.html.page import write_report
from fico.report.results.collect import collect_hubness, query_tables
from fico.report.results.identity import identity
from fico.report.results.schema import CASCADE, ModelInfo, Results, write_results
from fico.util.atomic import atomic_write
from fico.util.provenance import commit, hardware, versions


def write_cascade(folder: Path, request: Request, outcome: Outcome, seconds: float, *, key: str = "") -> None:
    """Writes the deepest cascade into the folder, and each other one into a folder ``k<depth>`` in it.

    Args:
        folder: Made if it is missing; depths of an older cascade in it are removed.
        request: What was asked for.
        outcome: What was measured.
        seconds: Wall-clock time of all of it.
        key: Of the run, where the same config, runs and code are to be known again.
    """
    for old in folder.glob("k*"):
        if is_cascade(old):
            shutil.rmtree(old)
    *others, deepest = outcome.cascades
    for system in others:
        assert system.depth is not None
        _write(folder / f"k{str(system.depth).replace('%', 'pct')}", request, outcome, system, seconds, key)
    with atomic_write(folder / CASCADE) as part:
        part.write_text(_csv(request, outcome), encoding="utf-8", newline="")
    _write(folder, request, outcome, deepest, seconds, key, is_whole=True)


def _write(
    folder: Path,
    request: Request,
    outcome: Outcome,
    system: System,
    seconds: float,
    key: str,
    *,
    is_whole: bool = False,
) -> None:
    assert system.result is not None
    folder.mkdir(parents=True, exist_ok=True)
    results = replace(_results(request, outcome, system, seconds), key=key)
    tables = cascade_tables(outcome, results.data.split) if is_whole else []
    svgs = write_figures(folder, {"cascade": draw(outcome, results.data.split)}) if is_whole else {}
    write_report(folder / "report.html", results, tables=tables, figures=svgs)
    ids = outcome.store.image_ids, outcome.store.caption_ids
    write_results(folder, results, query_tables(system.result, *ids))


def _results(request: Request, outcome: Outcome, system: System, seconds: float) -> Results:
    screen, rank = request.screen.results, request.rank.results
    assert system.depth is not None
    assert system.result is not None
    name = f"{system.name}, k={system.depth}"
    return replace(
        rank,
        name=name,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        commit=commit(),
        model=ModelInfo(name, rank.model.family, rank.model.size, None, None, "float32", query_time_attention=True),
        metrics=dict(system.metrics),
        hubness=collect_hubness(system.result),
        efficiency=_efficiency(outcome, system),
        search=(),
        versions=versions(),
        hardware=hardware(),
        config={
            "model": {
                "name": NAME,
                "similarity": None,
                "k": str(system.depth),
                "index": request.index,
                "screen": identity(screen),
                "rank": identity(rank),
                "screen_draw": None if screen.seed == rank.seed else screen.seed,
            },
            "metric": rank.config["metric"],
            "files": {"screen": str(request.screen.folder.resolve()), "rank": str(request.rank.folder.resolve())},
        },
        notes=(*outcome.notes, *system.result.notes),
        files={},
    )


def _efficiency(outcome: Outcome, system: System) -> dict[str, Any]:
    """Totals of the split as other runs have them, then the cost of a query in each direction."""
    counts = {"i2t": len(outcome.store.image_ids), "t2i": len(outcome.store.caption_ids)}
    items = {"i2t": counts["t2i"], "t2i": counts["i2t"]}
    costs = {way: system.costs[way] for way in DIRECTIONS}
    found: dict[str, Any] = {
        "encode_seconds": sum(cost.encode_seconds * counts[way] for way, cost in costs.items()),
        "screen_seconds": sum(cost.screen_seconds * counts[way] for way, cost in costs.items()),
        "attention_seconds": sum(cost.rank_seconds * counts[way] for way, cost in costs.items()),
        "embedding_bytes": round(sum(cost.held_bytes * items[way] for way, cost in costs.items())),
    }
    for way, cost in costs.items():
        found |= {f"{way}_{name}": value for name, value in asdict(cost).items() if value is not None}
        found |= {f"{way}_found": system.found[way]}
        found |= {f"{way}_kept_{name}": value for name, value in system.kept[way].items()}
    return found


def _csv(request: Request, outcome: Outcome) -> str:
    """One row for each system and direction."""
    rows = [_row(system, way, request.rank.results.data.split) for system in outcome.systems for way in DIRECTIONS]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(system: System, direction: Any, split: str) -> dict[str, Any]:
    row: dict[str, Any] = {"system": system.name, "k": _depth(system.depth), "direction": direction}
    for key, metric in system.metrics.items():
        prefix, task, way, name = [*key.split("/", 3), "", "", ""][:4]
        if (prefix, way) == (split, direction) and "/" not in name and not name.startswith("PR@"):
            row |= {
                f"{task}/{name}": metric.value,
                f"{task}/{name} low": metric.low,
                f"{task}/{name} high": metric.high,
            }
    row["found"] = system.found.get(direction)
    row |= {f"kept {name}": value for name, value in system.kept.get(direction, {}).items()}
    return row | asdict(system.costs[direction])


def _depth(depth: Depth | None) -> str:
    return "" if depth is None else str(depth)
