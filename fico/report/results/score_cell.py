"""A metric over the seeds of one setting as a cell of a table."""

from fico.report.results.display import metric_text
from fico.report.results.metric import factor
from fico.report.results.seeds import Score
from fico.report.table.table import NOTHING, Cell


def score_cell(score: Score | None, row_seeds: int = 1) -> Cell:
    """A metric in percent (ranks as they are) with its interval, or with its spread where it is a mean over seeds.

    Args:
        score: None gives a dash.
        row_seeds: Runs of the row; a mean over fewer says so.
    """
    if score is None:
        return Cell(NOTHING)
    scale = factor(score.unit)
    numbers = {"": scale * score.value}
    for part in ("low", "high", "spread"):
        end = getattr(score, part)
        if end is not None:
            numbers["sd" if part == "spread" else part] = scale * end
    if score.spread is not None:
        fewer = f", {score.seeds} seeds" if score.seeds != row_seeds else ""
        return Cell(metric_text(score.unit, score.value), f"± {scale * score.spread:.2f}{fewer}", numbers)
    ends = (None if end is None else _short(score, end) for end in (score.low, score.high))
    note = "–".join(end for end in ends if end is not None)
    fewer = "1 seed" if score.seeds != row_seeds else ""
    return Cell(metric_text(score.unit, score.value), ", ".join(filter(None, (note, fewer))), numbers)


def _short(score: Score, value: float) -> str:
    return metric_text("rank", value) if score.unit == "rank" else f"{factor(score.unit) * value:.1f}"
