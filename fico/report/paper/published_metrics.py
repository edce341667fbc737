"""Numbers of the paper's Tables 1 to 6, as printed; ``published.json`` beside this file holds them.

Source:
    FiCo-ITR, arXiv 2407.20114v3. A number that is not given is None; so is a time that did not finish there.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from fico.report.results.schema import Results

R, DEEP, MAP = ("R@1", "R@5", "R@10"), ("R@50", "R@100", "R@200"), ("mAP@10", "mAP@100", "mAP@N")

Numbers = dict[tuple[str, str, str], tuple[float | None, ...]]  # by dataset, model and direction


@cache
def paper_tables() -> dict[str, Any]:
    """``table1`` to ``table7`` with their columns and rows, and the source."""
    tables: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return tables


def _percents(table: str, *datasets: str) -> Numbers:
    """Numbers of a table whose columns are data sets, of which each has both directions with three cut-offs."""
    keys = [(dataset, direction) for dataset in datasets for direction in ("i2t", "t2i")]
    return {
        (dataset, model, direction): tuple(row[3 * part : 3 * part + 3])
        for model, row in paper_tables()[table]["rows"].items()
        for part, (dataset, direction) in enumerate(keys)
        if any(value is not None for value in row[3 * part : 3 * part + 3])
    }


# Table 1: approach, attention at query time, width of the embedding, of image and text features, number format
ARCHITECTURE: dict[str, list[str | None]] = paper_tables()["table1"]["rows"]

INSTANCE = _percents("table2", "coco", "f30k")
DEEP_RECALL = _percents("table3", "f30k")
CATEGORY = _percents("table4", "coco", "f30k")

_ENCODING: dict[str, list[float | None]] = paper_tables()["table5"]["rows"]
HARDWARE: str = paper_tables()["table5"]["hardware"]
ENCODING_REMARKS: dict[str, str] = paper_tables()["table5"]["below"]  # by model
# Table 5: seconds to encode 1K/5K, 10K/50K, 100K/500K, 1M/5M images and captions; None: did not finish
ENCODING = {model: tuple(row[:4]) for model, row in _ENCODING.items()}
# Table 5: GiB of the embeddings of 1M images and 5M captions, codes with a byte for each bit
STORAGE = {model: row[4] for model, row in _ENCODING.items()}
# Table 5: GiB of what attention at query time needs of 1M images and 5M captions; None: not given
FEATURES = {model: row[5] for model, row in _ENCODING.items()}
# Table 6: seconds of attention at 1K/5K, 10K/50K, 100K/500K; None: did not finish
ATTENTION: dict[str, tuple[float | None, ...]] = {
    model: tuple(row) for model, row in paper_tables()["table6"]["rows"].items()
}

_BITS = 64  # of every hashing model in the paper, save ADV's second row
_DATA = {"coco": ("coco", 5000), "flickr30k": ("f30k", 1000)}  # name of the data set -> that of the paper, test images


def paper_model(results: Results) -> str | None:
    """The paper's name of a run's model, or None where the run has another code length or size."""
    model = results.model
    if model.size == "tiny" or model.bits not in (None, _BITS, 2048):
        return None
    if model.name == "adv":
        return f"adv({model.bits}bit)"
    if model.bits == 2048 and not model.name.startswith("adv("):  # the authors' files carry the length in their name
        return None
    return model.name.replace("_nf", "(nf)")


def paper_data(results: Results) -> str | None:
    """The paper's name of a run's data, or None where the run was on another data set, split or subset."""
    name, images = _DATA.get(results.data.name, ("", 0))
    return name if results.data.split == "test" and results.data.images == images else None


def published(numbers: Numbers, dataset: str, model: str, direction: str, column: int) -> float | None:
    """One number of a table in percent, or None where it is not known."""
    row = numbers.get((dataset, model, direction), ())
    return row[column] if column < len(row) else None
