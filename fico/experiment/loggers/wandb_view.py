"""A saved view of a W&B project that compares its runs: ``python -m fico.experiment.loggers.wandb_view``.

Runs that differ by their seed alone are folded. The view is made of the keys that every run logs.
"""

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from fico.errors import FicoError, UsageError
from fico.experiment.loggers.finished import MAIN
from fico.experiment.loggers.wandb_service import service_problem
from fico.metrics.specification import DIRECTIONS
from fico.report.results.display import DIRECTION_NAMES
from fico.util.optional import requires_extra

with requires_extra("wandb-view"):
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as workspaces
    from wandb_workspaces import expr

SETTING = panels.Config("setting")  # what seeds have in common
NAME = "FiCo: quality, cost, search"
COSTS = ("encode_seconds", "attention_seconds", "peak_memory_bytes", "embedding_bytes", "flops_per_item")
CURVES = {"curves/recall": "k", "curves/precision_recall": "recall", "curves/radius": "radius", "search/overlap": "k"}
EPOCHS = ("train/loss", "val/instance/mean/R@10", "val/category/mean/mAP@N")
PINNED = ("config:model_name", "config:bits", "config:data", "config:seed")


def comparison(entity: str, project: str, split: str = "test") -> workspaces.Workspace:
    """The view, not saved yet.

    Args:
        entity: User or team that the project belongs to; empty for the key's own.
        project: Its name.
        split: That the runs were tested on.
    """
    keys = {
        f"{name}, {DIRECTION_NAMES[way]}": f"{split}/{task}/{way}/{name}"
        for task, name in MAIN.items()
        for way in DIRECTIONS
    }
    return workspaces.Workspace(
        name=NAME,
        entity=entity,
        project=project,
        sections=[
            _section("Quality", (_bars(title, key) for title, key in keys.items())),
            _section("Quality against cost", (_scatter(title, key) for title, key in keys.items())),
            _section("Cost", (_bars(name.replace("_", " "), f"efficiency/{name}") for name in COSTS)),
            _section("Curves", (_lines(key, across) for key, across in CURVES.items())),
            _section("Search", (_table("search/rows"),)),
            _section("Samples", (_table(f"samples/{way}") for way in DIRECTIONS)),
            _section("Training", (_epochs(key) for key in EPOCHS)),
        ],
        runset_settings=workspaces.RunsetSettings(
            groupby=[expr.Config("setting")],
            pinned_columns=[*PINNED, *(f"summary:{key}" for key in keys.values())],
        ),
    )


def save(view: workspaces.Workspace) -> str:
    """Save a view, and return its address.

    Raises:
        UsageError: There is no key, or the service cannot be reached or refuses it.
    """
    problem = service_problem()
    if problem is not None:
        raise UsageError(f"the view cannot be saved: {problem}")
    try:
        return str(view.save().url)
    except Exception as error:
        raise UsageError(
            f"W&B does not take the view: {' '.join(str(error).split())}; check entity and project"
        ) from error


def command(
    project: Annotated[str, typer.Option(help="Name of the project.")] = "fico",
    entity: Annotated[str, typer.Option(help="User or team that it belongs to.")] = "",
    split: Annotated[str, typer.Option(help="Split that the runs were tested on.")] = "test",
) -> None:
    """Saves a view that compares the runs of a W&B project, seeds folded, and prints its address."""
    try:
        sys.stdout.write(f"{save(comparison(entity, project, split))}\n")
    except FicoError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(error.exit_code) from None


def _section(name: str, shown: Iterable[Any]) -> workspaces.Section:
    return workspaces.Section(name=name, panels=list(shown), is_open=True)


def _bars(title: str, key: str) -> panels.BarPlot:
    grouped = {"groupby": SETTING, "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return panels.BarPlot(title=title, metrics=[key], **grouped)


def _scatter(title: str, key: str) -> panels.ScatterPlot:
    cost = panels.SummaryMetric("efficiency/embedding_bytes")
    return panels.ScatterPlot(title=f"{title}, against bytes", x=cost, y=panels.SummaryMetric(key), log_x=True)


def _lines(key: str, across: str) -> panels.CustomChart:
    """A chart that every run has logged as a line series."""
    return panels.CustomChart(
        chart_name="wandb/lineseries/v0",
        query={"summaryTable": {"tableKey": f"{key}_table"}},
        chart_fields={name: name for name in ("step", "lineKey", "lineVal")},
        chart_strings={"title": key.partition("/")[2].replace("_", " "), "xname": across},
    )


def _table(key: str) -> panels.WeavePanelSummaryTable:
    return panels.WeavePanelSummaryTable(table_name=key)


def _epochs(key: str) -> panels.LinePlot:
    return panels.LinePlot(x="epoch", y=[key], groupby=SETTING, groupby_aggfunc="mean")


if __name__ == "__main__":
    typer.run(command)
