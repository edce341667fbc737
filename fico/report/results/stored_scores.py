"""The scores by which a run ranked, where its embeddings alone do not say them: of pair scorers and re-rankings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fico.embeddings.store import EmbeddingStore
from fico.formats.arrays import load_array
from fico.scoring.candidates import candidates

PAIR_SCORES, RERANKED = "scores.npy", "rerank.npy"


def stored_scores(
    folder: Path, store: EmbeddingStore, model: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray] | None:
    """``images captions`` and ``captions images``; None where the embeddings are compared.

    Args:
        folder: Of the run.
        store: Its embeddings; of a pair scorer the files hold its scores too.
        model: The ``model`` node of its config.

    Raises:
        DataError: A file is missing or damaged, or holds the scores of other candidates.
    """
    scores = load_array(str(folder / PAIR_SCORES)) if store.images.ndim == 3 else None
    rerank = model.get("rerank")
    if rerank:
        first = candidates(store.images, store.texts, rerank["k"], scores)
        reranked = first.filled(load_array(str(folder / RERANKED))[0], rerank["rule"])
        return reranked.i2t, reranked.t2i
    return None if scores is None else (scores, scores.T)
