"""``report.html`` of a bench: its tables and figures in one file, readable offline."""

import json
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from fico.bench.outcome import Outcome
from fico.report.results.schema import Results
from fico.report.table.run_tables import bytes_text, seconds_text
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined


def write_page(path: Path, results: Results, outcome: Outcome, svgs: Mapping[str, str]) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: Where it shall stand.
        results: What ``results.json`` will say.
        outcome: Tables and notes.
        svgs: Markup of the figures.
    """
    environment = Environment(
        loader=PackageLoader("fico.bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bytes": bytes_text, "seconds": seconds_text}
    page = environment.get_template("page.html.jinja").render(
        r=results,
        sheets=outcome.sheets,
        svgs={name: Markup(svg) for name, svg in svgs.items()},  # noqa: S704 - our own figures, from numbers
        config=json.dumps(results.config, indent=2, ensure_ascii=False),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
