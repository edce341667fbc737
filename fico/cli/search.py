"""``fico search``: one query against a run's gallery or a folder of images."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fico.cli.options import say
from fico.errors import UsageError
from fico.inference.results import Hit, SearchResults
from fico.inference.run import load_run
from fico.report.table.terminal import print_stripped
from fico.util.units import seconds_text

NARROWEST = 80  # columns, where standard output is no terminal


@dataclass(frozen=True, slots=True)
class Query:
    """A text or an image.

    Args:
        text: What to look for.
        image: An image file.

    Raises:
        UsageError: Not just one of the two is given.
    """

    text: str | None
    image: Path | None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.image is None):
            raise UsageError('give a sentence, as in fico search RUN "a dog on the grass", or --image FILE, not both')

    def check_page(self, path: Path, *, overwrite: bool) -> None:
        """Refuse to replace a page.

        Raises:
            UsageError: There is a file, and ``overwrite`` is not set.
        """
        if path.exists() and not overwrite:
            raise UsageError(f"{path} is there already; give --overwrite or another name")


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found.

    Args:
        model: Name of the model.
        where: What was searched, in a few words.
        results: Of the one query.
    """

    model: str
    where: str
    results: SearchResults

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Best first."""
        return self.results.hits[0]

    @property
    def summary(self) -> str:
        """Model, gallery and times in one line."""
        times = ", ".join(f"{step} {seconds_text(seconds)}" for step, seconds in self.results.seconds.items())
        return f"{self.model}, {self.where}; {times}"

    def as_json(self) -> str:
        """A list of the hits."""
        shown = [
            {
                "rank": hit.rank,
                "id": hit.id,
                "score": hit.score,
                **({"path": str(hit.path)} if hit.path else {}),
                **({"caption": hit.caption} if hit.caption is not None else {}),
            }
            for hit in self.hits
        ]
        return json.dumps(shown, indent=1, ensure_ascii=False, allow_nan=False)


def search_run(
    run: Path, query: Query, images: Path | None, *, k: int, device: str, report: Callable[[str], None]
) -> Found:
    """Search.

    Args:
        run: The run's folder.
        query: A text or an image.
        images: A folder of images; None: the images or captions that the run was tested on.
        k: How many to find.
        device: Where the network runs.
        report: Takes a sentence about what was left out or is unknown.

    Raises:
        FicoError: The run cannot be used, the folder has no image, or the query has no known word.
    """
    trained = load_run(run, device=device)
    gallery = None
    if images is not None:
        index = trained.index(images, progress=True)
        for reason in index.left_out:
            report(f"left out: {reason}")
        gallery = index.images
    if query.text is not None:
        results = trained.search(texts=[query.text], k=k, gallery=gallery)
    else:
        results = trained.search(images=[query.image or Path()], k=k, gallery=gallery)
    for words in results.unknown_words:
        if words:
            report(f"not among the words of the training captions: {', '.join(words)}")
    what = "caption" if query.image is not None and images is None else "image"
    plural = "" if results.items == 1 else "s"
    where = f"{results.items:,} {what}{plural} of {'its test split' if images is None else images}"
    return Found(trained.name, where, results)


def print_hits(found: Found) -> None:
    """Print ranks, scores and what was found."""
    table = Table(box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    table.add_column("found", overflow="fold")
    for hit in found.hits:
        score = str(round(hit.score)) if hit.score == round(hit.score) else f"{hit.score:.3f}"
        table.add_row(str(hit.rank), score, Text(hit.caption if hit.caption is not None else str(hit.path or hit.id)))
    console = Console(highlight=False)
    if not console.is_terminal:
        widest = max(len(str(hit.path or hit.caption or hit.id)) for hit in found.hits)
        console.width = max(NARROWEST, widest + 20)  # a path in a pipe stays whole
    print_stripped(console, table)
    say(found.summary)


def write_html(path: Path, query: Query, found: Found) -> None:
    """Write a page with thumbnails, readable offline."""
    from fico.report.html.search_page import write_search_page

    write_search_page(path, text=query.text, image=query.image, found=found.results, summary=found.summary)
