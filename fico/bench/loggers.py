"""Rows of search in whatever logger takes them: tables and images where it can, numbers everywhere.

The loggers are Lightning's, known here by what they can do alone: the library imports no framework.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fico.bench.outcome import Outcome
from fico.report.figures.files import as_image
from fico.util.optional import requires_extra

with requires_extra("report"):
    from matplotlib.figure import Figure

_NUMBERS = ("build_seconds", "search_seconds", "search_cpu_seconds", "index_bytes")


def log_outcome(loggers: Iterable[Any], outcome: Outcome) -> None:
    """A bench's rows as a table and numbers, its figures as images.

    Args:
        loggers: Each with ``log_metrics`` and ``save``, and with ``log_table``, ``log_image`` and ``log_lines`` where
            it has such.
        outcome: What was measured.
    """
    log_rows(loggers, "bench", outcome.rows, lambda: outcome.figures)


def log_rows(
    loggers: Iterable[Any], key: str, rows: Sequence[Mapping[str, Any]], figures: Callable[[], Mapping[str, Figure]]
) -> None:
    """Rows as the table ``key``, their numbers as ``{key}/{index}/{number}``, figures as ``{key}/{name}``, lines.

    Lines are the overlap with exact search over k, and the seconds of a search over the size of the gallery where an
    index was measured on several.

    Args:
        loggers: As ``log_outcome``.
        key: Prefix of the names.
        rows: Of the comparison; nothing is logged without any.
        figures: Draws them, by name; only called where a logger takes images.
    """
    if not rows:
        return
    numbers = {f"{key}/{where(row)}/{name}": value for row in rows for name, value in _values(row).items()}
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    for logger in loggers:
        logger.log_metrics(numbers)
        logger.save()
        if hasattr(logger, "log_table"):
            logger.log_table(f"{key}/rows", columns=columns, data=cells)
        if hasattr(logger, "log_image"):
            for name, figure in figures().items():
                logger.log_image(f"{key}/{name}", [as_image(figure)])
        if hasattr(logger, "log_lines"):
            logger.log_lines(f"{key}/overlap", _overlaps(rows), "overlap with exact search", "k")
            logger.log_lines(f"{key}/scaling", _scaling(rows), "seconds to search", "items")


def where(row: Mapping[str, Any]) -> str:
    """Direction, index, and the parameters that distinguish rows of one index."""
    return "/".join(str(part) for part in (row.get("direction"), row["index"], row.get("setting")) if part)


Lines = dict[str, list[tuple[float, float]]]


def _overlaps(rows: Sequence[Mapping[str, Any]]) -> Lines:
    """By index: overlap with the exact k nearest over k."""
    return {where(row): sorted((float(k), float(value)) for k, value in row["overlap_at_k"].items()) for row in rows}


def _scaling(rows: Sequence[Mapping[str, Any]]) -> Lines:
    """By index: seconds of a search over the items, of those that were measured on several sizes."""
    lines: Lines = {}
    for row in rows:
        lines.setdefault(where(row), []).append((float(row["items"]), float(row["search_seconds"])))
    return {name: sorted(points) for name, points in lines.items() if len({items for items, _ in points}) > 1}


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    values = {name: row[name] for name in _NUMBERS if row.get(name) is not None}
    for table in ("top1_in_k", "overlap_at_k"):
        values |= {f"{table.removesuffix('k')}{k}": value for k, value in row[table].items()}
    return values | dict(row.get("task", {}))


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {number:.4f}" for name, number in value.items())
    return value if value is None or isinstance(value, int | float | str) else str(value)
