"""``fico verify``: whether a run's files are whole and its metrics follow from them."""

from pathlib import Path
from typing import Annotated

import typer

from fico.errors import FicoError


def verify(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a finished run; or an index, embedding store or cache.")
    ],
) -> None:
    """Check every file of a run by its digest, and recompute its metrics from what it stored."""
    from fico.cli.options import say
    from fico.cli.verify.files import check_other, check_run_files
    from fico.cli.verify.run import recomputed_from, verify_run

    other = check_other(run)
    if other is not None:
        say(f"{run} is whole: {other}")
        return
    files = check_run_files(run)
    count, differences = verify_run(run)
    for difference in differences:
        say(f"{difference.name}: stored {difference.stored}, recomputed {difference.found}")
    if files.errors or differences:
        metrics = f"{len(differences)} of {count} metrics of {run} do not follow from what it stored"
        found = [*files.errors, *([metrics] if differences else [])]
        raise FicoError(f"{'; '.join(found)}; its files were changed, or another release wrote them")
    if files.absent:
        say(f"no longer there: {', '.join(files.absent)}")
    say(f"as they were written: {', '.join(sorted(dict.fromkeys(files.whole)))}")
    say(f"all {count} metrics of {run} are the same when recomputed from {recomputed_from(run)}")
