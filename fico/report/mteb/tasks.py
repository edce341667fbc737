"""Which of mteb's tasks a data set is, and the cut-offs of its scores."""

import re

from fico.report.results.schema import DataInfo

CUTS = (1, 3, 5, 10, 20, 100, 1000)
WAYS = {"i2t": "I2T", "t2i": "T2I"}
_KNOWN = {("coco", 5000): "MSCOCO", ("flickr30k", 1000): "Flickr30k"}  # name and images of the test split -> theirs
_FILE = re.compile(r"(?P<task>.+)(?P<way>I2T|T2I)Retrieval")


def task_of(data: DataInfo) -> str:
    """Name of the task without direction; of a data set that mteb has not, one of the same form."""
    known = _KNOWN.get((data.name, data.images)) if data.split == "test" else None
    return known or "FiCo" + "".join(part[:1].upper() + part[1:] for part in re.findall(r"[A-Za-z0-9]+", data.name))


def file_of(task: str, direction: str) -> str:
    """Name of the file of a task in one direction."""
    return f"{task}{WAYS[direction]}Retrieval.json"


def parsed(stem: str) -> tuple[str, str] | None:
    """Task and direction of a file's name without suffix; None for a task that is no image-text retrieval."""
    found = _FILE.fullmatch(stem)
    if found is None:
        return None
    return found["task"], next(way for way, name in WAYS.items() if name == found["way"])
