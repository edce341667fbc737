"""What a search with a trained run found, and how long each step took."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fico.inference.gallery import Captions, Images
from fico.types import Ranking


@dataclass(frozen=True, slots=True)
class Hit:
    """One item that was found.

    Args:
        rank: From 1.
        id: As the data set names it, or the path below a folder.
        score: Higher is nearer; of codes the negative number of differing bits.
        path: File of an image, where there is one.
        caption: Text of a caption.
    """

    rank: int
    id: str
    score: float
    path: Path | None = None
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search found.

    Args:
        hits: For each query, best first.
        unknown_words: For each text, the words that do not occur in the training captions.
        seconds: Time of the steps ``encode``, ``search`` and, of a re-ranker, ``rerank``.
        items: Size of the gallery.
    """

    hits: tuple[tuple[Hit, ...], ...]
    unknown_words: tuple[tuple[str, ...], ...]
    seconds: Mapping[str, float]
    items: int


@dataclass(slots=True)
class Clock:
    """Adds up the seconds of named steps."""

    seconds: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)

    def step(self, name: str) -> None:
        """End a step; the next one begins."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.begun
        self.begun = now


def image_hits(found: Ranking, items: Images) -> tuple[tuple[Hit, ...], ...]:
    """Images of each query, best first."""
    return tuple(
        tuple(
            Hit(rank, items.ids[row], score, path=items.paths[row] if items.paths else None)
            for rank, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
        )
        for rows, scores in zip(found.indices.tolist(), found.scores.tolist(), strict=True)
    )


def caption_hits(found: Ranking, items: Captions) -> tuple[tuple[Hit, ...], ...]:
    """Captions of each query, best first."""
    return tuple(
        tuple(
            Hit(rank, items.ids[row], score, caption=items.texts[row])
            for rank, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
        )
        for rows, scores in zip(found.indices.tolist(), found.scores.tolist(), strict=True)
    )
