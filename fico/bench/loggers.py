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
        loggers: Each with ``log_metrics`` and ``save``, and with ``log_table`` and ``log_image`` where it has such.
        outcome: What was measured.
    """
    log_rows(loggers, "bench", outcome.rows, lambda: outcome.figures)


def log_rows(
    loggers: Iterable[Any], key: str, rows: Sequence[Mapping[str, Any]], figures: Callable[[], Mapping[str, Figure]]
) -> None:
    """Rows as the table ``key``, their numbers as ``{key}/{index}/{number}``, figures as ``{key}/{name}``.

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


def where(row: Mapping[str, Any]) -> str:
    """Direction, index, and the parameters that distinguish rows of one index."""
    parts = [row.get("direction"), row["index"], row.get("setting") or row.get("fit_on")]
    return "/".join(str(part) for part in parts if part)


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    values = {name: row[name] for name in _NUMBERS if row.get(name) is not None}
    for table in ("top1_in_k", "overlap_at_k"):
        values |= {f"{table.removesuffix('k')}{k}": value for k, value in row[table].items()}
    return values | dict(row.get("task", {}))


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {number:.4f}" for name, number in value.items())
    return value if value is None or isinstance(value, int | float | str) else str(value)
