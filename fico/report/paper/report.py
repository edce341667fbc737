"""The paper's tables and figures from some runs, in one folder and every format."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fico.report.figures.files import write_figures
from fico.report.html.environment import page_environment
from fico.report.paper.architecture_table import architecture_table
from fico.report.paper.article import article, named
from fico.report.paper.cost.attention_table import attention_table
from fico.report.paper.cost.attention_times import attention_sizes_table
from fico.report.paper.cost.cost_figures import attention_figure, code_length_figure, hubness_figure
from fico.report.paper.cost.cost_tables import encoding_table
from fico.report.paper.cost.encoding_parts import encoding_parts_table
from fico.report.paper.figures import MOST, precision_recall_figure, trade_off_figure
from fico.report.paper.further_metrics import further_table
from fico.report.paper.hashing_table import hashing_table
from fico.report.paper.metric_tables import TABLES, metric_table
from fico.report.paper.quality_cost import quality_cost_figure
from fico.report.paper.search_table import index_table
from fico.report.results.protocol import Protocol
from fico.report.results.runs import FinishedRun, FoundRuns
from fico.report.results.schema import Results
from fico.report.table.comma_separated import as_csv
from fico.report.table.latex import as_latex
from fico.report.table.markdown import as_markdown
from fico.report.table.table import Column, Row, Table, text_cells
from fico.util.atomic import atomic_write
from fico.util.optional import requires_extra
from fico.util.progress import track
from fico.util.units import seconds_text

with requires_extra("report"):
    from markupsafe import Markup

with requires_extra("report"):
    from matplotlib.figure import Figure

_LONGEST = f" (of more than {MOST} settings the longest code of each model)"
CAPTIONS = {
    "figure3": f"Figure 3: interpolated precision at eleven recall levels, mean over queries{_LONGEST}",
    "figure4": f"Figure 4: recall through each index over its search time{_LONGEST}",
    "cost": "Quality over the time of a query, items embedded beforehand; the line joins what nothing beats",
    "bits": "mAP@N over the length of a code, with 95 % intervals, or the spread over seeds",
    "hubness": "Hubness of each model",
}


@dataclass(frozen=True, slots=True, eq=False)
class PaperReport:
    """What some runs can fill.

    Args:
        tables: In the order of the paper.
        figures: By file name without ending.
        captions: Of the figures, by the same names.
        remarks: What a reader of several tables must know.
    """

    tables: tuple[Table, ...]
    figures: Mapping[str, Figure]
    captions: Mapping[str, str]
    remarks: tuple[str, ...]


def paper_report(runs: Sequence[Results], repeats: Sequence[Results] = ()) -> PaperReport:
    """Sorts runs into tables and figures; one table for each data set, fingerprint and set of definitions.

    Args:
        runs: Finished runs, each setting and seed once.
        repeats: Older ones of the same settings and seeds, for the indexes that they alone searched.
    """
    protocols, searched = _protocols(runs), _protocols([*runs, *repeats])
    keys = _keys(list(protocols))
    tables: list[Table | None] = [architecture_table(trained)] if (trained := [r for r in runs if r.metrics]) else []
    for definition in TABLES:
        tables += [metric_table(definition, protocol, found, keys[protocol]) for protocol, found in protocols.items()]
    tables += [hashing_table(protocol, found, keys[protocol]) for protocol, found in protocols.items()]
    tables += [further_table(protocol, found, keys[protocol]) for protocol, found in protocols.items()]
    tables += [encoding_table(protocol, found, keys[protocol]) for protocol, found in protocols.items()]
    tables += [encoding_parts_table(protocol, found, keys[protocol]) for protocol, found in protocols.items()]
    tables += [attention_table(runs), attention_sizes_table(runs)]
    tables += [index_table(protocol, found, keys[protocol]) for protocol, found in searched.items()]
    figures, captions = {}, {}
    for protocol, found in protocols.items():
        cost, meaning = quality_cost_figure(searched[protocol]) or (None, "")
        drawn = {
            "figure3": precision_recall_figure(found),
            "figure4": trade_off_figure(searched[protocol]),
            "cost": cost,
            "bits": code_length_figure(found),
            "hubness": hubness_figure(found),
        }
        for name, figure in drawn.items():
            if figure is not None:
                more = f". {meaning}" if name == "cost" else ""
                figures[f"{name}-{keys[protocol]}"] = figure
                captions[f"{name}-{keys[protocol]}"] = f"{CAPTIONS[name]}, {protocol.description}{more}"
    if (growth := attention_figure(runs)) is not None:
        figures["attention"] = growth
        captions["attention"] = "Attention at query time over the size of the gallery"
    filled = tuple(table for table in tables if table is not None)
    return PaperReport(filled, figures, captions, _remarks(list(protocols)))


def write_paper_report(
    folder: Path, found: FoundRuns, report: PaperReport, pages: Mapping[str, str] | None = None
) -> None:
    """Writes ``report.md``, ``report.tex``, ``report.html``; of each table CSV and LaTeX, of each figure SVG and PDF.

    Args:
        folder: Where to write.
        found: The runs.
        report: What they filled.
        pages: Other pages in the folder that the page links, as data set by file name.
    """
    texts = {f"{table.key}.csv": as_csv(table) for table in report.tables}
    texts["report.md"] = _markdown(found, report)
    texts["report.tex"] = article(report.tables, report.captions)
    texts |= {f"{table.key}.tex": as_latex(named(table)) for table in report.tables}
    svgs: dict[str, str] = {}
    for name in track(report.figures, len(report.figures), "Drawing figures"):
        svgs |= write_figures(folder, {name: report.figures[name]}, "pdf")
    texts["report.html"] = _html(found, report, svgs, pages or {})
    for name, text in texts.items():
        with atomic_write(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")


def _protocols(runs: Iterable[Results]) -> dict[Protocol, list[Results]]:
    groups: dict[Protocol, list[Results]] = {}
    for run in runs:
        groups.setdefault(Protocol.of(run), []).append(run)
    return dict(sorted(groups.items(), key=lambda group: (group[0].data, group[0].split, group[0].images)))


def _keys(protocols: Sequence[Protocol]) -> dict[Protocol, str]:
    """A key for file names: the data set, with its split, fingerprint or rules where that is not unique."""
    keys: dict[Protocol, str] = {}
    for protocol in protocols:
        rivals = [other for other in protocols if other != protocol and other.data == protocol.data]
        parts = [protocol.data]
        parts += [protocol.split] if any(other.split != protocol.split for other in rivals) else []
        parts += (
            [protocol.fingerprint[:8]] if any(other.fingerprint != protocol.fingerprint for other in rivals) else []
        )
        parts += [*protocol.rules] if any(other.rules != protocol.rules for other in rivals) else []
        keys[protocol] = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(parts)).strip("-")
    return keys


def _remarks(protocols: Sequence[Protocol]) -> tuple[str, ...]:
    remarks = []
    for name in dict.fromkeys((protocol.data, protocol.split) for protocol in protocols):
        alike = [protocol for protocol in protocols if (protocol.data, protocol.split) == name and name[1] != "bench"]
        prints = list(dict.fromkeys(protocol.fingerprint[:8] for protocol in alike))
        if len(prints) > 1:
            remarks.append(
                f"The runs on {' '.join(name)} have {len(prints)} contents (fingerprints {', '.join(prints)}); "
                "they are in separate tables (except in Table 6, which is about size) and must not be compared."
            )
        if len({protocol.rules for protocol in alike}) > 1:
            remarks.append(f"The runs on {' '.join(name)} use different definitions and are in separate tables.")
    return tuple(remarks)


def _markdown(found: FoundRuns, report: PaperReport) -> str:
    parts = [f"# {_title(found)}", *map(as_markdown, report.tables)]
    parts += [f"### {report.captions[name]}\n\n![{report.captions[name]}]({name}.svg)\n" for name in report.figures]
    lines = [*report.remarks, *(f"Left out: {folder}: {reason}" for folder, reason in found.left_out)]
    return "\n".join([*parts, *([""] if lines else []), *(f"- {line}" for line in lines)]) + "\n"


def _html(found: FoundRuns, report: PaperReport, svgs: Mapping[str, str], pages: Mapping[str, str]) -> str:
    seeds = {run.results.seed for run in found.runs}
    template = page_environment().get_template("paper.html.jinja")
    return template.render(
        title=_title(found),
        lead=f"{len(report.tables)} tables and {len(report.figures)} figures after arXiv 2407.20114; "
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        tables=report.tables,
        figures=[(report.captions[name], Markup(svg)) for name, svg in svgs.items()],  # noqa: S704 - our own drawing
        remarks=report.remarks,
        pages=pages,
        runs=_runs_table(found.runs),
        left_out=found.left_out,
    )


def _runs_table(runs: Sequence[FinishedRun]) -> Table:
    """Name, data, seed, start, duration, commit and folder of each run."""
    names = ("run", "data", "seed", "started", "run time", "commit", "folder")
    rows = []
    for run in runs:
        r = run.results
        origin = r.name, f"{r.data.name} {r.data.split}", str(r.seed), r.started[:16].replace("T", " ")
        rows.append(Row(text_cells(*origin, seconds_text(r.seconds), r.commit[:8], str(run.folder))))
    return Table(
        "runs", "Runs", tuple(Column(name, is_text=name in ("run", "data", "folder")) for name in names), tuple(rows)
    )


def _title(found: FoundRuns) -> str:
    return f"{len(found.runs)} run{'s' if len(found.runs) > 1 else ''} in the tables of the paper"
