"""The state behind the page: runs, what they search, and one search at a time."""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fico.errors import FicoError, UsageError
from fico.inference.gallery import Images
from fico.inference.results import Hit
from fico.inference.run import TrainedRun
from fico.report.html.environment import score_text
from fico.serve.collection import Collection, common_split
from fico.serve.columns import Answer, Query, columns
from fico.util.units import seconds_text

SAMPLED_CAPTIONS, SAMPLED_IMAGES = 5, 16
STEPS = {"encode": "encoding", "search": "search", "rerank": "re-ranking"}


class SearchService:
    """Searches runs side by side.

    Args:
        runs: At least one.
        folder: Images to search; None: the split that the runs were tested on.
        shown: Items of each column.
        report: Takes a sentence about what was left out.

    Raises:
        UsageError: Without a folder: the runs were tested on different splits.
        DataError: The folder holds no image, or a run stores no embeddings.
    """

    def __init__(
        self, runs: Sequence[TrainedRun], folder: Path | None, *, shown: int, report: Callable[[str], None]
    ) -> None:
        self.columns, self._folder, self._shown, self._report = columns(runs), folder, shown, report
        self._lock = threading.Lock()  # one search has all cores, so that the times of the columns can be compared
        self._galleries: dict[TrainedRun, Images] = {}
        self.collection = common_split(runs) if folder is None else self._index(folder, progress=True)

    @property
    def most_candidates(self) -> int:
        """The highest number of candidates that the page offers."""
        return min(len(self.collection.image_ids), max(128, 2 * self.default_candidates))

    @property
    def default_candidates(self) -> int:
        """What the re-rankers took in their tests; 0 without a re-ranker."""
        return max((column.run.rerank_k or 0 for column in self.columns), default=0)

    @property
    def example(self) -> str:
        """A sentence that the first run can read."""
        return self.columns[0].run.galleries.captions.texts[0]

    def refresh(self) -> None:
        """Look for new, changed and removed files of the folder.

        Raises:
            DataError: The folder is gone, or no image is left in it.
        """
        if self._folder is not None:
            with self._lock:
                self.collection = self._index(self._folder, progress=False)

    def warm_up(self) -> None:
        """Search once in each column, so that the first times on the page are those of a search alone."""
        for column in self.columns:
            try:
                column.search(Query(column.run.galleries.captions.texts[0]), self._galleries.get(column.run), 1, 1)
            except FicoError:  # the page will say it
                continue

    def sample(self, seed: int | None = None) -> dict[str, Any]:
        """Some captions and images to pick from."""
        draw, stored = random.Random(seed), self.collection
        captions = draw.sample(range(len(stored.captions)), min(SAMPLED_CAPTIONS, len(stored.captions)))
        images = draw.sample(range(len(stored.image_paths)), min(SAMPLED_IMAGES, len(stored.image_paths)))
        return {
            "captions": [{"row": row, "text": stored.captions[row]} for row in captions],
            "images": [{"row": row, "id": stored.image_ids[row], "picture": stored.picture(row)} for row in images],
        }

    def stored_query(self, request: Mapping[str, Any]) -> Query:
        """The query of a request: a text, or the row of a stored caption or image.

        Raises:
            UsageError: It is none of these.
            DataError: The stored image has no file.
        """
        match dict(request):
            case {"text": str(text)}:
                return Query(text)
            case {"caption": int(row)} if 0 <= row < len(self.collection.captions):
                return Query(self.collection.captions[row], relevant=self.collection.image_of(row))
            case {"image": int(row)} if 0 <= row < len(self.collection.image_ids):
                return Query(image=self.collection.path(row), relevant=self.collection.captions_of(row))
        raise UsageError("this query is neither a text nor a caption or image that is there; load the page again")

    def search(self, column: int, query: Query, candidates: int) -> dict[str, Any]:
        """What a column of the page shows.

        Raises:
            FicoError: The column cannot answer the query.
        """
        chosen = self.columns[column]
        with self._lock:
            answer = chosen.search(query, self._galleries.get(chosen.run), self._shown, candidates)
        return self._shown_answer(answer, query, candidates if chosen.stage == "re-ranked" else None)

    def _shown_answer(self, answer: Answer, query: Query, candidates: int | None) -> dict[str, Any]:
        results = answer.results
        return {
            "hits": [self._shown_hit(hit, query) for hit in results.hits[0]],
            "times": {STEPS[step]: seconds_text(seconds) for step, seconds in results.seconds.items()},
            "unknown": [word for words in results.unknown_words for word in words],
            "rank": _rank_sentence(answer, query, candidates),
            "matching": [self._shown_item(name, query.text is not None) for name in sorted(query.relevant)],
        }

    def _shown_hit(self, hit: Hit, query: Query) -> dict[str, Any]:
        shown = {"rank": hit.rank, "score": score_text(hit.score), "matches": hit.id in query.relevant}
        return shown | self._shown_item(hit.id, hit.caption is None)

    def _shown_item(self, name: str, is_image: bool) -> dict[str, Any]:
        stored = self.collection
        row = (stored.image_rows if is_image else stored.caption_rows).get(name)
        if is_image:
            return {"kind": "image", "id": name, "row": row, "picture": None if row is None else stored.picture(row)}
        return {"kind": "caption", "id": name, "row": row, "caption": None if row is None else stored.captions[row]}

    def _index(self, folder: Path, *, progress: bool) -> Collection:
        left_out: dict[str, None] = {}
        for run in dict.fromkeys(column.run for column in self.columns):
            index = run.index(folder, progress=progress)
            left_out |= dict.fromkeys(index.left_out)
            self._galleries[run] = index.images
        for reason in left_out if progress else ():
            self._report(f"left out: {reason}")
        return Collection.of_folder(folder, next(iter(self._galleries.values())))


def _rank_sentence(answer: Answer, query: Query, candidates: int | None) -> str | None:
    if not query.relevant:
        return None
    what = "matching image" if query.text is not None else "first matching caption"
    if answer.first_relevant is None:
        return f"{what} not among the {candidates} candidates"
    low, high = answer.first_relevant
    of = f"{answer.results.items:,}" if candidates is None else f"{candidates} candidates"
    return f"{what} at rank {low} of {of}" if low == high else f"{what} at rank {low}\u2013{high} of {of}, tied"
