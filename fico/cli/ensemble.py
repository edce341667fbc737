"""The mean of several finished runs' scores, as the papers of SCAN and VSRN combine two trained models."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, UsageError
from fico.external.model_outputs import ModelOutputs, evaluate_outputs
from fico.external.results import results_of, write_outputs
from fico.formats.arrays import load_array
from fico.report.results.schema import Results, read_tested
from fico.report.run_summary.summary import print_results
from fico.util.digests.digest import check_file

BLOCK = 512  # images whose scores are added at a time


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    folder: Path
    results: Results
    store: EmbeddingStore

    def scores(self) -> "np.ndarray | None":
        """The matrix of a pair scorer, memory-mapped; None where the embeddings are compared."""
        if self.store.images.ndim != 3:
            return None
        path = self.folder / "scores.npy"
        check_file(path, self.results.files.get(path.name), "copy it again or repeat the run")
        return load_array(str(path))


def ensemble(folders: Sequence[Path], out: Path | None) -> None:
    """Evaluates the mean of the runs' scores with the definitions of the first run, and prints the tables.

    Args:
        folders: Two finished runs or more, of the same split of the same data.
        out: Write the files of a run here.

    Raises:
        UsageError: Fewer than two runs.
        DataError: The runs are of different data, or one has scores that cannot be averaged: codes, Euclidean
            distances, re-ranked matrices.

    Source:
        Lee et al., ECCV 2018, section 4; Li et al., ICCV 2019, section 4.3: similarities averaged with equal weight.
    """
    if len(folders) < 2:
        raise UsageError(f"an ensemble has two runs or more, got {len(folders)}; give the folders of finished runs")
    begin = time.perf_counter()
    members, outputs = ensemble_outputs(folders)
    first = members[0]
    metric = {**first.results.config["metric"], "device": "auto"}  # of this machine, not of the run's
    result = evaluate_outputs(outputs, metric)
    name = "+".join(member.results.model.name for member in members)
    results = results_of(
        outputs,
        result,
        name=name,
        split=first.results.data.split,
        seconds=time.perf_counter() - begin,
        options=metric,
        files={f"run {number}": str(folder) for number, folder in enumerate(folders, start=1)},
    )
    print_results(results)
    if out is not None:
        write_outputs(out, outputs, result, results)


def ensemble_outputs(folders: Sequence[Path]) -> tuple[list[_Member], ModelOutputs]:
    """The runs, and the mean of their scores.

    Raises:
        DataError: A run is damaged, or holds other images, or scores that cannot be averaged.
    """
    members = [_Member(folder, read_tested(folder), EmbeddingStore.load(folder / "embeddings")) for folder in folders]
    for member in members:
        _check(members[0], member)
    scores, store = mean_scores(members), members[0].store
    return members, ModelOutputs(store.correspondence, i2t=scores, t2i=scores.T, labels=store.labels)


def _check(first: _Member, member: _Member) -> None:
    ids = (first.store.image_ids, first.store.caption_ids)
    if (member.store.image_ids, member.store.caption_ids) != ids:
        raise DataError(
            f"{member.folder} holds other images or captions than {first.folder}; an ensemble needs runs of one split"
        )
    similarity = member.results.config.get("model", {}).get("similarity")
    is_reranked = bool(member.results.config.get("model", {}).get("rerank"))
    if is_reranked or (member.store.images.ndim == 2 and similarity not in ("cosine", "inner")):
        kind = "re-ranked scores" if is_reranked else f"{similarity} scores"
        raise DataError(f"{member.folder} has {kind}, which cannot be averaged; use cosine, inner or attention scores")


def mean_scores(members: Sequence[_Member]) -> Float32[np.ndarray, "images captions"]:
    """Mean over the runs, by blocks of images.

    Args:
        members: Runs of the same split.
    """
    store = members[0].store
    total = np.zeros((len(store.image_ids), len(store.caption_ids)), dtype=np.float32)
    for member in members:
        matrix, texts = member.scores(), _units(member, member.store.texts)
        for start in range(0, len(total), BLOCK):
            rows = slice(start, start + BLOCK)
            found = _units(member, member.store.images[rows]) @ texts.T if matrix is None else matrix[rows]
            total[rows] += found / len(members)
    return total


def _units(member: _Member, vectors: np.ndarray) -> np.ndarray:
    """Vectors whose inner product is the run's similarity."""
    if member.results.config["model"]["similarity"] != "cosine":
        return vectors
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1))
