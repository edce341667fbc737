"""``report.html`` of a run: one file with everything in it, readable offline, in light and dark mode."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fico.report.figures import curves
from fico.report.figures.similarity import similarity_histogram
from fico.report.figures.training import training_curves
from fico.report.html.diagnosis import Diagnosis
from fico.report.html.environment import page_environment
from fico.report.html.hubs import Hubs
from fico.report.html.samples import QuerySample
from fico.report.results.display import DIRECTION_NAMES, has_given_positives, metric_names, shown_tasks
from fico.report.results.model_names import FAMILIES
from fico.report.results.schema import Results
from fico.report.run_summary.headlines import cost_headlines, quality_headlines
from fico.report.run_summary.hubness_table import hubness_table
from fico.report.run_summary.metric_table import both_table, metric_table
from fico.report.run_summary.search_table import NOTE, search_table
from fico.report.run_summary.summary import efficiency_lines, headline
from fico.report.table.table import Table
from fico.run_context import EpochValues
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
    diagnosis: Diagnosis | None = None,
    history: Sequence[EpochValues] = (),
    command: str | None = None,
    tables: Sequence[Table] = (),
    figures: Mapping[str, str] | None = None,
) -> None:
    """Writes the page by an atomic write.

    Args:
        path: The HTML file.
        results: A finished run.
        samples: Queries to show, from ``sample_queries``; none leaves the section out.
        hubs: Most frequent items to show, from ``shown_hubs``.
        diagnosis: Ranks, categories and similarity of pairs, from ``diagnose``.
        history: Of the training; none leaves its curves out.
        command: That made the run.
        tables: Further ones, before those of the metrics.
        figures: Markup of SVG by name, above these tables.
    """
    pairs = None if diagnosis is None else diagnosis.pairs
    monitor = (results.config.get("model") or {}).get("monitor") or "validation metric"
    page = (
        page_environment()
        .get_template("report.html.jinja")
        .render(
            r=results,
            headline=headline(results),
            quality=quality_headlines(results),
            costs=cost_headlines(results),
            direction_names=DIRECTION_NAMES,
            families=FAMILIES,
            diagnosis=diagnosis,
            similarity=None if pairs is None else _markup(similarity_histogram(pairs.matching, pairs.random)),
            training=_markup(training_curves(history, monitor)),
            command=command,
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
