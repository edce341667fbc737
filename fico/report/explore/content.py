"""What ``explore.html`` holds: the queries of one data set, and what each run found for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from fico.datasets.splits import hash_order
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.inference.inputs import StoredInputs
from fico.metrics.specification import DIRECTIONS, Direction
from fico.report.explore.pictures import small_pictures
from fico.report.explore.rankings import SHOWN, Found, found_by
from fico.report.results.runs import FinishedRun
from fico.report.results.seeds import group_seeds, is_untrained

MOST_QUERIES = 5_000  # of a direction; of more, as many by hashed ids
MOST_IMAGES = 10_000
PICTURE_BYTES = 11 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class ExploredRun:
    """A run on the page: its label, the candidates of its re-ranking or None, and what it found."""

    label: str
    candidates: int | None
    found: dict[Direction, Found]


@dataclass(frozen=True, slots=True, eq=False)
class Explored:
    """Several runs of one data set.

    Args:
        name: Data set and split.
        runs: At least one.
        store: Embeddings of the first run, for ids, correspondence and labels.
        captions: Of the split, by row.
        classes: Names of the categories; empty without labels.
        image_paths: By row; empty of a data set of features.
        queries: Rows of the queries that are shown, in ascending order.
        left_out: Folder and reason of each run that cannot be shown.
    """

    name: str
    runs: tuple[ExploredRun, ...]
    store: EmbeddingStore
    captions: tuple[str, ...]
    classes: tuple[str, ...]
    image_paths: tuple[Path, ...]
    queries: dict[Direction, Int64[np.ndarray, " queries"]]
    left_out: tuple[tuple[Path, str], ...]

    def as_json(self) -> dict[str, Any]:
        """The object that the page's script reads; ranks that are not known are null."""
        labels = self.store.labels
        pictures = small_pictures(self.image_paths, PICTURE_BYTES) if self.image_paths else []
        return {
            "shown": SHOWN,
            "captions": self.captions,
            "owners": self.store.correspondence.caption_to_image.tolist(),
            "imageIds": self.store.image_ids,
            "pictures": pictures or [None] * len(self.store.image_ids),
            "classes": self.classes,
            "labels": [] if labels is None else [np.flatnonzero(row).tolist() for row in labels],
            "queries": {way: rows.tolist() for way, rows in self.queries.items()},
            "runs": [
                {
                    "label": run.label,
                    "candidates": run.candidates,
                    "items": {way: found.items.tolist() for way, found in run.found.items()},
                    "ranks": {way: _ranks(found) for way, found in run.found.items()},
                }
                for run in self.runs
            ],
        }


def explored(runs: Sequence[FinishedRun]) -> Explored:
    """Reads the runs of one data set; of several seeds of a setting the first.

    Args:
        runs: Finished runs of one split with one fingerprint.

    Raises:
        DataError: None of them can be shown; the reason of the first is given.
    """
    by_results = {id(run.results): run for run in runs}
    trained = [run.results for run in runs if run.results.metrics and not is_untrained(run.results)]
    shown: list[ExploredRun] = []
    left_out: list[tuple[Path, str]] = []
    first: tuple[EmbeddingStore, StoredInputs] | None = None
    queries: dict[Direction, np.ndarray] = {}
    for group in group_seeds(trained):
        run = by_results[id(group.first)]
        try:
            store = EmbeddingStore.load(run.folder / "embeddings")
            if first is None:
                first = store, _inputs(run.folder, store)
                queries = _queries(store)
            _check_same(store, first[0])
            rerank = run.results.config["model"].get("rerank")
            shown.append(ExploredRun(group.label, rerank and rerank["k"], found_by(run, store, queries)))
        except DataError as error:
            left_out.append((run.folder, str(error)))
    if first is None or not shown:
        raise DataError(left_out[0][1] if left_out else "no run tested a trained model")
    store, inputs = first
    count = 0 if store.labels is None else store.labels.shape[1]
    classes = inputs.classes or tuple(f"category {column + 1}" for column in range(count))
    return Explored(
        inputs.tested_name, tuple(shown), store, inputs.captions, classes, inputs.image_paths, queries, tuple(left_out)
    )


def _inputs(folder: Path, store: EmbeddingStore) -> StoredInputs:
    if len(store.image_ids) > MOST_IMAGES:
        raise DataError(f"its {len(store.image_ids):,} images are more than the {MOST_IMAGES:,} that one page takes")
    inputs = StoredInputs.load(folder)
    if len(inputs.captions) != len(store.caption_ids):
        raise DataError(f"{folder} stores {len(inputs.captions)} captions for {len(store.caption_ids)} embeddings")
    return inputs


def _queries(store: EmbeddingStore) -> dict[Direction, Int64[np.ndarray, " queries"]]:
    ids = {"i2t": store.image_ids, "t2i": store.caption_ids}
    return {way: np.sort(hash_order(ids[way], "explore")[:MOST_QUERIES]) for way in DIRECTIONS}


def _check_same(store: EmbeddingStore, first: EmbeddingStore) -> None:
    if (store.image_ids, store.caption_ids) != (first.image_ids, first.caption_ids):
        raise DataError("its images and captions have other ids than those of the first run")


def _ranks(found: Found) -> list[float | None]:
    return [None if np.isnan(rank) else round(rank, 1) for rank in found.ranks.tolist()]
