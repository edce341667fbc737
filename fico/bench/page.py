"""``report.html`` of a bench: its tables and figures in one file, readable offline."""

import json
from collections.abc import Mapping
from pathlib import Path

from fico.bench.outcome import Outcome
from fico.report.html.environment import page_environment
from fico.report.results.schema import Results
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    from markupsafe import Markup

with requires_extra("report"):
    pass


def write_page(path: Path, results: Results, outcome: Outcome, svgs: Mapping[str, str]) -> None:
    """Writes the page by an atomic write.

    Args:
        path: The HTML file.
        results: What ``results.json`` will say.
        outcome: Tables and notes.
        svgs: Markup of the figures.
    """
    page = (
        page_environment("fico.bench")
        .get_template("bench.html.jinja")
        .render(
            r=results,
            tables=outcome.tables,
            svgs={name: Markup(svg) for name, svg in svgs.items()},  # noqa: S704 - our own figures, from numbers
            config=json.dumps(results.config, indent=2, ensure_ascii=False),
        )
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
