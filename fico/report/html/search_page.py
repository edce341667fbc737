"""The page of a search: the query and what it found, in one file that needs no network."""

from pathlib import Path

from fico.inference.results import SearchResults
from fico.report.html.environment import page_environment
from fico.util.atomic import atomic_write


def write_search_page(path: Path, *, text: str | None, image: Path | None, found: SearchResults, summary: str) -> None:
    """Write the page by an atomic write.

    Args:
        path: The HTML file.
        text: The query, where it is a text.
        image: The query, where it is an image.
        found: Of that one query.
        summary: Model, gallery and times in one line.
    """
    page = (
        page_environment()
        .get_template("search.html.jinja")
        .render(
            text=text,
            image=image,
            hits=found.hits[0],
            unknown_words=[word for words in found.unknown_words for word in words],
            summary=summary,
        )
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
