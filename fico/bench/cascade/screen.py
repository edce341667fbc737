"""The first stage of a cascade: stored codes or embeddings of a run, searched by an index."""

import numpy as np

from fico.bench.cascade.request import Request
from fico.bench.timing import Timing, once, timed
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.evaluation.evaluate import evaluate
from fico.evaluation.result import RetrievalResult
from fico.metrics.specification import Direction
from fico.search.base import Searcher
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.itq import ITQ
from fico.types import Ranking

HNSW = ("HNSW32", {"efSearch": 64})  # factory and parameters of FAISS
BUDGET_SECONDS = 1.0


class Screen:
    """Finds the candidates of each query among the items of the other side.

    Args:
        request: Which index screens.
        store: Embeddings of the screening run.

    Raises:
        DataError: Items have several vectors each, or are too few for ITQ of so many bits.
    """

    def __init__(self, request: Request, store: EmbeddingStore) -> None:
        if store.images.ndim != 2 or store.texts.ndim != 2:
            raise DataError(f"{request.screen.folder} has several vectors an item, which no index here holds")
        self._similarity = request.screen.results.config["model"]["similarity"]
        self._sides = {"image": store.images, "text": store.texts}
        self._bits = store.bits
        if request.bits is not None:
            itq = ITQ(request.bits).fit(store.images, store.texts)
            self._sides = {side: itq.encode(rows).packed() for side, rows in self._sides.items()}
            self._similarity, self._bits = "hamming", request.bits
        self._indexes: dict[Direction, Searcher] = {}
        self._build_seconds: dict[Direction, float] = {}
        for direction, side in (("i2t", "text"), ("t2i", "image")):
            index = self._empty(request.index)
            _, built = once(lambda index=index, side=side: index.add(self._sides[side]))  # type: ignore[misc]
            index.search(self._sides[side][:1], 1)  # loads the compiled kernels
            self._indexes[direction], self._build_seconds[direction] = index, built.seconds  # type: ignore[index]

    def search(self, direction: Direction, k: int) -> tuple[Ranking, Timing]:
        """The k candidates of every query, and the times of all queries in one batch."""
        queries = self._sides["image" if direction == "i2t" else "text"]
        index = self._indexes[direction]
        return timed(lambda: index.search(queries, k), budget_seconds=BUDGET_SECONDS)

    def alone(self, store: EmbeddingStore, options: dict[str, object]) -> RetrievalResult:
        """Metrics of the codes or embeddings by exact search.

        Args:
            store: Correspondence and labels.
            options: Of the evaluation.
        """
        return evaluate(
            self._sides["image"],
            self._sides["text"],
            store.correspondence,
            similarity=self._similarity,
            bits=self._bits,
            **options,  # type: ignore[arg-type]
        )

    def held_bytes(self, direction: Direction) -> float:
        """Bytes of an item: of its code, or of the index of floats."""
        rows = self._sides["text" if direction == "i2t" else "image"]
        # a small gallery fills whole blocks of the Hamming index, which says nothing about codes
        return (rows.nbytes if self._bits is not None else self._indexes[direction].size_bytes) / len(rows)

    def _empty(self, index: str) -> Searcher:
        if self._bits is not None:
            return PopcountSearch(self._bits)
        if index == "hnsw":
            return FaissSearch(HNSW[0], self._similarity, search_params=HNSW[1])
        return ExactSearch(self._similarity)


def check_same_rows(screen: EmbeddingStore, rank: EmbeddingStore) -> None:
    """Refuses runs whose rows are in another order.

    Raises:
        DataError: Their ids differ.
    """
    if (screen.image_ids, screen.caption_ids) != (rank.image_ids, rank.caption_ids):
        raise DataError("the two runs store their images or captions in another order; repeat one of them")


def pair_keys(direction: Direction, found: np.ndarray, captions: int) -> np.ndarray:
    """Candidate pairs as ``image * captions + caption``, in the shape of ``found`` (``queries k``)."""
    queries = np.arange(len(found))[:, None]
    return queries * captions + found if direction == "i2t" else found * captions + queries
