"""The ``fico`` command: puts the commands together and turns errors into exit codes."""

import os
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fico.cli.commands.cascade import cascade
from fico.cli.commands.compare import compare
from fico.cli.commands.convert import convert
from fico.cli.commands.data import data_app
from fico.cli.commands.doctor import doctor
from fico.cli.commands.ensemble import ensemble
from fico.cli.commands.evaluate import evaluate
from fico.cli.commands.export import export_app
from fico.cli.commands.features import features_app
from fico.cli.commands.growth import growth
from fico.cli.commands.label import label_app
from fico.cli.commands.prepare import prepare
from fico.cli.commands.recommend import recommend
from fico.cli.commands.report import report
from fico.cli.commands.reproduce import reproduce
from fico.cli.commands.search import search
from fico.cli.commands.serve import serve
from fico.cli.commands.split import split
from fico.cli.commands.verify import verify
from fico.errors import FicoError
from fico.util.quiet import be_quiet

# Idle threads sleep, as in run.py; on a machine in use spinning ones made a search take seconds instead of 50 ms.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class OneSentence(TyperGroup):
    """Ends a command on a `FicoError` with its sentence on standard error and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command; a FicoError ends it without a traceback."""
        try:
            return super().invoke(ctx)
        except FicoError as error:
            typer.echo(f"fico: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            from fico.util.disk_errors import disk_sentence  # imports numpy

            message = disk_sentence(error)
            if message is None:
                raise
            typer.echo(f"fico: {message}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("fico: interrupted by SIGINT; nothing was finished", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=OneSentence,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"fico {version('fico')}")
        raise typer.Exit


@app.callback()
def fico(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Results and errors alone: no progress, no steps.")] = False,
) -> None:
    """Fine-grained and coarse-grained image-text retrieval on one bench."""
    if quiet:
        be_quiet()


for command in (
    search, serve, evaluate, verify, compare, recommend, report, reproduce, ensemble, cascade, growth, convert,
    prepare, split,
    doctor,
):  # fmt: skip
    app.command()(command)
app.add_typer(data_app, name="data")
app.add_typer(export_app, name="export")
app.add_typer(features_app, name="features")
app.add_typer(label_app, name="label")

if __name__ == "__main__":
    app(prog_name="fico")
