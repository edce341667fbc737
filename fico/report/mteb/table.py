"""Runs beside models of mteb's repository of results, on the same tasks."""

from collections.abc import Mapping, Sequence

from fico.report.mteb.read import TaskScores
from fico.report.mteb.tasks import task_of
from fico.report.results.display import DIRECTION_NAMES
from fico.report.results.schema import Results
from fico.report.results.score_cell import score_cell
from fico.report.results.seeds import SeedGroup, group_seeds, is_untrained
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, text_cells

NAMES = {"R@1": "cv_recall_at_1", "R@5": "cv_recall_at_5", "R@10": "cv_recall_at_10", "nDCG@10": "ndcg_at_10"}
_NOTES = (
    "In percent. R@K of mteb is its cv_recall_at_K or hit_rate_at_K, at least one relevant item among the first K; its "
    "main score is nDCG@10. mteb ranks equal scores by id, here their mean counts; it has its own copy of "
    "each data set.",
)


def mteb_tables(runs: Sequence[Results], theirs: Sequence[TaskScores]) -> list[Table]:
    """A table for each task that mteb's folder has, with the runs on the same data first.

    Args:
        runs: Finished runs.
        theirs: Models of the folder.
    """
    tables = []
    for task in dict.fromkeys(each.task for each in theirs):
        groups = group_seeds([run for run in runs if task_of(run.data) == task and not is_untrained(run)])
        rows = [_ours(group) for group in groups] + [_theirs(each) for each in theirs if each.task == task]
        columns = (
            Column("model", is_text=True),
            Column("source", is_text=True),
            *(Column(name, heading) for heading in DIRECTION_NAMES.values() for name in NAMES),
        )
        key = "".join(character for character in task if character.isalnum())
        tables.append(Table(f"mteb-{key}", f"mteb: {task}", columns, tuple(rows), _NOTES))
    return tables


def _ours(group: SeedGroup) -> Row:
    scores = [group.score(f"instance/{way}/{name}") for way in DIRECTION_NAMES for name in NAMES]
    cells = (score_cell(score, len(group.runs)) for score in scores)
    return Row((*text_cells(group.label, "here"), *cells))


def _theirs(each: TaskScores) -> Row:
    cells = [_cell(each.scores.get(way, {}), name) for way in DIRECTION_NAMES for name in NAMES.values()]
    return Row((*text_cells(each.model, f"mteb {each.mteb_version}".strip()), *cells), "paper")


def _cell(scores: Mapping[str, float], name: str) -> Cell:
    value = scores.get(name, scores.get(name.replace("cv_recall", "hit_rate")))
    return Cell(NOTHING) if value is None else Cell(f"{100 * value:.1f}", numbers={"": 100 * value})
