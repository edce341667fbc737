"""``report.html`` of a run: one file with everything in it, readable offline, in light and dark mode."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fico.report.figures import curves
from fico.report.html.environment import page_environment
from fico.report.html.hubs import Hubs
from fico.report.html.samples import QuerySample
from fico.report.results.display import DIRECTION_NAMES, has_given_positives, metric_names, shown_tasks
from fico.report.results.schema import Results
from fico.report.run_summary.hubness_table import hubness_table
from fico.report.run_summary.metric_table import both_table, metric_table
from fico.report.run_summary.search_table import NOTE, search_table
from fico.report.run_summary.summary import efficiency_lines, headline
from fico.report.table.table import Table
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra

with requires_extra("report"):
    from markupsafe import Markup


def write_report(
    path: Path,
    results: Results,
    samples: Sequence[QuerySample] = (),
    hubs: Sequence[Hubs] = (),
    *,
    tables: Sequence[Table] = (),
    figures: Mapping[str, str] | None = None,
) -> None:
    """Writes the page by an atomic write.

    Args:
        path: The HTML file.
        results: A finished run.
        samples: Queries to show, from ``sample_queries``; none leaves the section out.
        hubs: Most frequent items to show, from ``shown_hubs``.
        tables: Further ones, before those of the metrics.
        figures: Markup of SVG by name, above these tables.
    """
    page = (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            r=results,
            headline=headline(results),
            metrics={task: metric_table(results, task, metric_names(results, task)) for task in shown_tasks(results)},
            both=both_table(results),
            has_given_positives=has_given_positives(results),
            recall_curve=_markup(curves.recall_curve(results)),
            precision_recall_curve=_markup(curves.precision_recall_curve(results)),
            efficiency=efficiency_lines(results.efficiency),
            search=search_table(results.search) if results.search else None,
            search_note=NOTE,
            hubness=hubness_table(results),
            hubs=hubs,
            tables=tables,
            figures={name: _markup(svg) for name, svg in (figures or {}).items()},
            samples={way: [s for s in samples if s.direction == way] for way in DIRECTION_NAMES},
            config=json.dumps(results.config, indent=2, ensure_ascii=False),
        )
    )
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _markup(svg: str | None) -> Markup | None:
    return None if svg is None else Markup(svg)  # noqa: S704 - made by our own figures from numbers and fixed words
