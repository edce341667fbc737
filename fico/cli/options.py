"""Options that several commands share: each type and help text is written once, and so is each group of them."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fico.errors import PathError, UsageError
from fico.util.quiet import is_quiet

if TYPE_CHECKING:
    from fico.cli.data.dataset_option import DatasetOption
    from fico.cli.label import LabelOutput

Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder.")]
SplitKey = Annotated[str, typer.Option(metavar="KEY", help="Field of the JSON that names an image's split.")]
Splits = Annotated[str, typer.Option(metavar="NAMES", help="Splits to process, with commas.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what other settings made.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU where there is one.")]
ALL_SPLITS = "train,val,test"


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """A data set and its splits."""

    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="A name such as coco; karpathy: any folder in Karpathy form.")
    ]
    root: Root = None
    split_key: SplitKey = "split"
    splits: Splits = ALL_SPLITS

    def build(self) -> "DatasetOption":
        """The data set that they name."""
        from fico.cli.data.dataset_option import DatasetOption

        return DatasetOption(self.dataset, self.root, self.split_key, self.splits)


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """Where labels go, and what is made with them."""

    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Label file. Default: labels.npz of the data set's folder.")
    ] = None
    overwrite: Overwrite = False
    preview: Annotated[
        int, typer.Option(min=0, help="Images on the preview page next to the label file; 0 writes none.")
    ] = 48
    truth: Annotated[Path | None, typer.Option(metavar="FILE", help="Label file to compare with: mAP, CF1, OF1.")] = (
        None
    )

    def build(self) -> "LabelOutput":
        """The output that they describe."""
        from fico.cli.label import LabelOutput

        return LabelOutput(self.out, self.overwrite, self.preview, self.truth, report)


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replaces each parameter that is a dataclass of options by those options, because Typer knows single ones only."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }

    @wraps(command)
    def flat(**values: Any) -> None:
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**built, **values)

    parameters = [
        single.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
        for single in (inspect.signature(groups[name]).parameters.values() if name in groups else [parameter])
    ]
    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def check_new(folders: Iterable[Path], *, overwrite: bool) -> None:
    """Refuse folders that hold a finished run, which a command would write over.

    Args:
        folders: Where the command will write.
        overwrite: The user wants it.

    Raises:
        UsageError: One does, and ``overwrite`` is not set.
    """
    held = next((folder for folder in folders if (folder / "results.json").exists()), None)
    if held is not None and not overwrite:
        raise UsageError(f"{held} holds the results of a run already; give --overwrite or another --out")


def say(text: str) -> None:
    """Prints a result on standard output: on a terminal wrapped between words, so that a path stays whole."""
    from fico.report.table.terminal import console_of, hanging

    typer.echo(hanging(text, 2, console_of()))


def report(text: str) -> None:
    """Reports a step on standard error, unless the user wants results alone."""
    if not is_quiet():
        typer.echo(f"fico: {text}", err=True)


def check_folders(runs: Sequence[Path], images: Path | None) -> None:
    """Refuse folders that are not there, before anything large is imported.

    Args:
        runs: Of runs.
        images: Of images.

    Raises:
        DataError: One is not there.
    """
    for run in runs:
        if not run.is_dir():
            raise PathError(f"there is no folder {run}; give the folder that a run printed last")
    if images is not None and not images.is_dir():
        raise PathError(f"there is no folder {images}; give one with images")
