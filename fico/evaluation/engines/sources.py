"""What the engine of the CPU evaluates: blocks of real scores, or binary codes."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from fico.codes import HashCodes
from fico.metrics.specification import Direction
from fico.similarity import collapse_note


class ScoreSource(Protocol):
    """Scores by blocks of queries; never NaN."""

    dtype: np.dtype
    notes: tuple[str, ...]

    def block(self, direction: Direction, start: int, stop: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Writes products into ``out`` for the queries from ``start`` to before ``stop``, with all threads."""
        ...

    def finish(self, direction: Direction, start: int, out: Float[np.ndarray, "queries items"]) -> None:
        """Completes the scores of some rows of the block, from query ``start`` on; called by several threads."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CodeSource:
    """Binary codes of both sides."""

    images: HashCodes
    texts: HashCodes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about the codes."""
        sides = (("images", self.images.words), ("texts", self.texts.words))
        found = (collapse_note(name, len(words), 0, bool((words == words[0]).all())) for name, words in sides)
        return tuple(note for note in found if note)


FILL = -100  # what a re-ranking leaves at pairs that it did not score, or minus infinity


def count_scored(scores: Float[np.ndarray, "queries items"]) -> np.ndarray:
    """Items of each query that do not hold the fill value of a re-ranking."""
    lowest = scores.min(axis=1)
    filled = (lowest == FILL) | np.isneginf(lowest)
    return np.asarray(np.where(filled, (scores > lowest[:, None]).sum(axis=1), scores.shape[1]))
