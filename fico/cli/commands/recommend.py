"""``fico recommend``: the model and index to take under limits."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.util.duration import seconds_of
from fico.util.units import parse_bytes


def recommend(
    runs: Annotated[list[Path], typer.Option(metavar="DIR", help="Runs, or folders that hold some; may be repeated.")],
    task: Annotated[Literal["instance", "category"], typer.Option(help="Task whose metric decides.")] = "instance",
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Most memory, such as 1GiB.")] = None,
    latency: Annotated[str | None, typer.Option(metavar="TIME", help="Longest query, such as 10ms.")] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Judge by this one. Default: R@10; category: mAP@100.")
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="NAME", help="Data set, where the runs are on several.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as .md, .tex or .csv too.")] = None,
) -> None:
    """From measured runs: which model with which index, or which cascade, under a memory and a latency limit."""
    sizes = None if memory is None else parse_bytes(memory, "--memory")
    seconds = None if latency is None else seconds_of(latency, "--latency")
    from fico.cli.compare import write_comparison
    from fico.cli.options import say
    from fico.report.recommend.recommend import Limits
    from fico.report.recommend.recommend import recommend as choose
    from fico.report.results.runs import find_runs
    from fico.report.table.terminal import print_table

    found = find_runs(runs)
    results = [run.results for run in found.runs]
    recommendation = choose(results, task, Limits(sizes, seconds), metric=metric, data=data)
    if out is not None:
        write_comparison(out, recommendation.table)
    print_table(recommendation.table)
    say(recommendation.answer)
    for path, reason in found.left_out:
        typer.echo(f"fico: left out: {path}: {reason}", err=True)
