"""``fico doctor``: what is installed, what conflicts, what is missing."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fico.cli.options import ALL_SPLITS, Root, SplitKey, Splits
from fico.errors import FicoError, UsageError


def doctor(
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A data set to check, such as flickr30k or karpathy.")
    ] = None,
    root: Root = None,
    split_key: SplitKey = "split",
    splits: Splits = ALL_SPLITS,
    size: Annotated[Literal["tiny", "paper"] | None, typer.Option(help="Default: as the data set has it.")] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Released weights; with --data, what fico reproduce lacks.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with the folders flickr30k and coco.")
    ] = None,
) -> None:
    """What is installed, what conflicts, and what is missing for which model. Exit code 1 if something will break."""
    from fico.cli.data.dataset_option import DatasetOption
    from fico.cli.doctor import examine
    from fico.report.table.terminal import console_of, hanging

    if dataset is None and root is not None:
        raise UsageError("--root is the folder of a data set; give its --dataset too, karpathy for any folder")
    if (weights is None) != (data is None):
        raise UsageError("--weights and --data are the folders of fico reproduce; give both")
    of_the_paper = None if weights is None or data is None else (weights, data)
    option = None if dataset is None else DatasetOption(dataset, root, split_key, splits)
    console = console_of()
    findings = examine(Path.cwd(), option, size, of_the_paper)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        line = f"{finding.level:5}  {finding.subject:{width}}  {finding.text}"
        typer.echo(hanging(line, width + 11, console))
    errors = sum(finding.level == "error" for finding in findings)
    if errors:
        raise FicoError(f"{errors} of {len(findings)} checks found an error; the lines above say what to do")
