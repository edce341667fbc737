"""The second stage of a cascade: scores of candidate pairs by the model of a run."""

from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fico.bench.cascade.request import Stage
from fico.bench.timing import once, timed
from fico.codes import HashCodes
from fico.embeddings.store import EmbeddingStore
from fico.inference.network import load_network
from fico.inference.run import load_run
from fico.metrics.specification import Direction
from fico.protocols import PairScorer
from fico.scoring.matrix import score_matrix
from fico.scoring.rerank import Rerank
from fico.search.brute_force import aligned_scores, as_operand
from fico.search.exact import ExactSearch
from fico.types import EncodedBatch

Scores = Float[np.ndarray, " pairs"]
PAIRS_AT_ONCE = 2**16
SAMPLED_PAIRS = 2**14  # of all pairs, scored to know what the ranker costs alone


class Ranker(Protocol):
    """Scores pairs of stored items."""

    row_bytes: dict[str, float]
    """Bytes that it reads of an ``image`` and of a ``text``."""

    def score(self, pairs: Int64[np.ndarray, " pairs"]) -> Scores:
        """Score pairs ``image * captions + caption``, ascending; higher is nearer."""
        ...

    def depth_alone(self, direction: Direction) -> int:
        """Pairs that the model alone scores for a query."""
        ...

    def seconds_alone(self, direction: Direction) -> float:
        """CPU seconds of a query's scores by the model alone."""
        ...


def open_ranker(stage: Stage, store: EmbeddingStore, device: str = "cpu") -> Ranker:
    """The ranker of a run: a re-ranker, a pair scorer, or its embeddings.

    Args:
        stage: The run.
        store: Its embeddings.
        device: Where a network computes.

    Raises:
        DataError: Its network cannot be built, or a re-ranker's images cannot be read again.
    """
    model = stage.results.config["model"]
    if model.get("rerank"):
        return MatcherRanker(stage, store, device)
    if store.images.ndim == 3:
        return PairRanker(load_network(stage.folder)[0].to(device), store)
    return EmbeddingRanker(store, model["similarity"])


class EmbeddingRanker:
    """Compares embeddings, or codes, of the pairs.

    Args:
        store: The embeddings.
        similarity: Of the model.
    """

    def __init__(self, store: EmbeddingStore, similarity: Any) -> None:
        self._similarity, self._bits = similarity, store.bits
        self._sides = {"image": store.images, "text": store.texts}
        self._operands = [as_operand(_declared(rows, store.bits), similarity) for rows in self._sides.values()]
        self.row_bytes = {side: rows.nbytes / len(rows) for side, rows in self._sides.items()}

    def score(self, pairs: Int64[np.ndarray, " pairs"]) -> Scores:
        """Of `Ranker`."""
        images, texts = self._operands
        parts = []
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            rows = np.divmod(pairs[start : start + PAIRS_AT_ONCE], len(texts))
            left, right = (side[torch.from_numpy(row)] for side, row in zip((images, texts), rows, strict=True))
            parts.append(aligned_scores(left, right, self._similarity))
        return torch.cat(parts).numpy()  # type: ignore[no-any-return]

    def depth_alone(self, direction: Direction) -> int:
        """All items."""
        return len(self._operands[1 if direction == "i2t" else 0])

    def seconds_alone(self, direction: Direction) -> float:
        """By exact search of ten items."""
        queries, items = self._sides.values() if direction == "i2t" else reversed(self._sides.values())
        search = ExactSearch(self._similarity, self._bits)
        search.add(items)
        _, found = timed(lambda: search.search(queries, min(10, len(items))), budget_seconds=1.0)
        return found.cpu_seconds / len(queries)


class PairRanker:
    """Scores pairs by attention between the stored vectors of regions and words.

    Args:
        network: The pair scorer.
        store: Its vectors.
    """

    def __init__(self, network: PairScorer, store: EmbeddingStore) -> None:
        self._network = network
        self._encoded = encoded_batch(store)
        self._rerank = Rerank(self._network, 1, progress=False)
        self.row_bytes = {
            "image": store.images.nbytes / len(store.images),
            "text": store.texts.nbytes / len(store.texts),
        }
        self._seconds: float | None = None

    def score(self, pairs: Int64[np.ndarray, " pairs"]) -> Scores:
        """Of `Ranker`."""
        return self._rerank.score_pairs(self._encoded, pairs)

    def depth_alone(self, direction: Direction) -> int:
        """All items."""
        return len(self._encoded.texts if direction == "i2t" else self._encoded.images)

    def seconds_alone(self, direction: Direction) -> float:
        """By scoring images, evenly spaced, with all captions."""
        if self._seconds is None:
            images, captions = len(self._encoded.images), len(self._encoded.texts)
            count = min(images, max(16, -(-SAMPLED_PAIRS // captions)))
            part = _of_images(self._encoded, np.linspace(0, images - 1, count).astype(np.int64))
            _, found = timed(lambda: score_matrix(self._network, part, progress=False), warm_up=False)
            self._seconds = found.cpu_seconds / (count * captions)
        return self._seconds * self.depth_alone(direction)


class MatcherRanker:
    """Scores pairs by matching states, which are encoded again from the images and captions.

    Args:
        stage: The run of a re-ranker.
        store: Its embeddings, whose similarity is added where its rule says so.
        device: Where the network computes.
    """

    def __init__(self, stage: Stage, store: EmbeddingStore, device: str = "cpu") -> None:
        run = load_run(stage.folder, device=device)
        self._encoded = run.encode_tested()
        rerank = stage.results.config["model"]["rerank"]
        self._matching = Rerank(run.network, 1, progress=False)
        self._own: Ranker | None = None
        if rerank["rule"] == "itm_plus_similarity":
            is_scored = store.images.ndim == 3
            self._own = PairRanker(_FirstStage(run.network), store) if is_scored else EmbeddingRanker(store, "inner")
        self._k = int(rerank["k"])
        states = self._encoded.image_states, self._encoded.text_states
        sizes = [state.numel() * state.element_size() / len(state) for state in states if state is not None]
        self.row_bytes = dict(zip(("image", "text"), sizes, strict=True))
        self._seconds: float | None = None

    def score(self, pairs: Int64[np.ndarray, " pairs"]) -> Scores:
        """Of `Ranker`."""
        matched, found = once(lambda: self._matching.score_pairs(self._encoded, pairs))
        self._seconds = found.cpu_seconds / len(pairs)
        return matched if self._own is None else matched + self._own.score(pairs)

    def depth_alone(self, direction: Direction) -> int:
        """The candidates of its own first stage."""
        return min(self._k, len(self._encoded.texts if direction == "i2t" else self._encoded.images))

    def seconds_alone(self, direction: Direction) -> float:
        """Of as many pairs as in the last call of `score`."""
        assert self._seconds is not None
        return self._seconds * self.depth_alone(direction)


class _FirstStage(torch.nn.Module):
    """The scores that a re-ranker's own first stage gives, without its matching."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self._network = network

    def score(self, images: Tensor, texts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Of the embeddings."""
        scores: Tensor = self._network.score(images, texts, lengths)
        return scores


def encoded_batch(store: EmbeddingStore) -> EncodedBatch:
    """The rows of a store as an encoded batch."""
    return EncodedBatch(
        images=torch.from_numpy(store.images),
        image_ids=torch.arange(len(store.images)),
        texts=torch.from_numpy(store.texts),
        text_ids=torch.arange(len(store.texts)),
        text_lengths=None if store.text_lengths is None else torch.from_numpy(store.text_lengths),
    )


def _of_images(encoded: EncodedBatch, rows: Int64[np.ndarray, " some"]) -> EncodedBatch:
    return EncodedBatch(
        images=encoded.images[torch.from_numpy(rows)],
        image_ids=torch.arange(len(rows)),
        texts=encoded.texts,
        text_ids=encoded.text_ids,
        text_lengths=encoded.text_lengths,
    )


def _declared(rows: np.ndarray, bits: int | None) -> np.ndarray | HashCodes:
    return rows if bits is None else HashCodes.from_packed(rows, bits)
