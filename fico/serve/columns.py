"""The columns of the page: one for each run and each way to search it."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fico.errors import UsageError
from fico.inference.gallery import Images
from fico.inference.results import Hit, SearchResults
from fico.inference.run import TrainedRun

Stage = Literal["exact", "popcount", "all pairs", "re-ranked"]
WHAT = {
    "exact": "exact search of floats",
    "popcount": "exact search of codes by popcount",
    "all pairs": "scores of all pairs",
    "re-ranked": "the k nearest, ordered by matching scores",
}


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for.

    Args:
        text: A sentence, for which images are found.
        image: An image file, for which captions or similar images are found.
        relevant: Ids of the items that match it, where it is a stored one.
    """

    text: str | None = None
    image: Path | None = None
    relevant: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a column found for a query.

    Args:
        results: Its hits, those that are shown, and its times.
        first_relevant: Lowest and highest rank of the first relevant item under ties; None where no item is known to
            be relevant, or none is among the candidates.
    """

    results: SearchResults
    first_relevant: tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A run and a way to search it.

    Args:
        run: The trained model.
        label: Its name on the page.
        stage: How it is searched.
    """

    run: TrainedRun
    label: str
    stage: Stage

    @property
    def note(self) -> str:
        """How it is searched, in a few words."""
        measure = self.run.model["similarity"]
        first = "all pairs" if measure is None else f"{self.run.bits} bits" if self.run.bits else str(measure)
        return WHAT[self.stage] + (f", {first}" if self.stage in ("exact", "popcount") else "")

    def search(self, query: Query, gallery: Images | None, k: int, candidates: int) -> Answer:
        """Find the k nearest items, and the rank of the first relevant one.

        Args:
            query: A text or an image.
            gallery: Images of a folder; None: the run's tested split.
            k: Items that are shown.
            candidates: Items that are re-ranked.

        Raises:
            FicoError: The query has no known word, cannot be read, or is none that this column can answer.
        """
        if self.stage == "re-ranked" and query.text is None and gallery is not None:
            raise UsageError("a re-ranker scores an image with a text, so it orders no similar images")
        depth = candidates if self.stage == "re-ranked" else 0
        found = self._found(query, gallery, max(k, depth), depth)
        if not query.relevant:
            return Answer(_cut(found, k), None)
        whole = found if depth else self._found(query, gallery, found.items, 0)
        return Answer(_cut(found, k), first_relevant_rank(whole.hits[0], query.relevant))

    def _found(self, query: Query, gallery: Images | None, k: int, candidates: int) -> SearchResults:
        texts = None if query.text is None else [query.text]
        images = None if query.image is None else [query.image]
        return self.run.search(texts, images, k=k, gallery=gallery, candidates=candidates)


def columns(runs: Sequence[TrainedRun]) -> tuple[Column, ...]:
    """Each run's first stage, and its re-ranking where it has one."""
    names = Counter(run.name for run in runs)
    return tuple(Column(run, _label(run, stage, names[run.name] == 1), stage) for run in runs for stage in _stages(run))


def first_relevant_rank(hits: Sequence[Hit], relevant: Collection[str]) -> tuple[int, int] | None:
    """Lowest and highest rank of the first relevant item, which differ where others have its score."""
    score = max((hit.score for hit in hits if hit.id in relevant), default=None)
    if score is None:
        return None
    above = sum(hit.score > score for hit in hits)
    tied = sum(hit.score == score and hit.id not in relevant for hit in hits)
    return above + 1, above + 1 + tied


def _stages(run: TrainedRun) -> Iterator[Stage]:
    yield "all pairs" if run.is_pair_scorer else "popcount" if run.bits else "exact"
    if run.rerank_k is not None:
        yield "re-ranked"


def _label(run: TrainedRun, stage: Stage, is_only: bool) -> str:
    label = run.name + (", re-ranked" if stage == "re-ranked" else "")
    return label if is_only else f"{label} ({run.folder.name})"


def _cut(found: SearchResults, k: int) -> SearchResults:
    return SearchResults(tuple(hits[:k] for hits in found.hits), found.unknown_words, found.seconds, found.items)
