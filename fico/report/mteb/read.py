"""Models of a folder in mteb's layout, with their scores of image-text retrieval."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fico.errors import DataError, UsageError
from fico.report.mteb.tasks import parsed


@dataclass(frozen=True, slots=True)
class TaskScores:
    """One model on one task, in both directions.

    Args:
        task: Without direction, such as ``Flickr30k``.
        model: As mteb calls it, ``organisation/name``.
        scores: By direction the scores by mteb's names.
        mteb_version: That evaluated it; empty where it is not said.
    """

    task: str
    model: str
    scores: Mapping[str, Mapping[str, float]]
    mteb_version: str


def read_folder(folder: Path) -> list[TaskScores]:
    """Every model below a folder, by task and model.

    Raises:
        UsageError: There is no such folder, or no file of image-text retrieval below it.
        DataError: A file is broken, or has no scores; it is named.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; give a folder of mteb's results, MODEL/REVISION/TASK.json")
    found: dict[tuple[str, str, str], dict[str, Mapping[str, float]]] = {}
    versions: dict[tuple[str, str, str], str] = {}
    for path in sorted(folder.rglob("*Retrieval.json")):
        named = parsed(path.stem)
        if named is None:
            continue
        task, way = named
        content = _read(path)
        key = (task, path.parent.parent.name.replace("__", "/", 1), path.parent.name)
        found.setdefault(key, {})[way] = _scores(path, content)
        versions[key] = str(content.get("mteb_version") or "")
    if not found:
        raise UsageError(
            f"{folder} holds no file such as MODEL/REVISION/Flickr30kI2TRetrieval.json; give a folder of mteb's results"
        )
    return [TaskScores(key[0], key[1], scores, versions[key]) for key, scores in sorted(found.items())]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no result of mteb, but a {type(content).__name__}; fetch it again")
    return content


def _scores(path: Path, content: Mapping[str, Any]) -> dict[str, float]:
    """Of the split ``test``, or the only one, and its first subset."""
    splits = content.get("scores")
    rows = splits.get("test") or next(iter(splits.values()), None) if isinstance(splits, dict) else None
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict) or "main_score" not in rows[0]:
        raise DataError(f"{path} has no scores of a split with a main_score; give a file of mteb 1.11 or later")
    return {name: float(value) for name, value in rows[0].items() if isinstance(value, int | float)}
