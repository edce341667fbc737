"""``fico serve``: loads the runs and shows them on a local page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fico.cli.options import check_folders
from fico.serve.server import address, free_port, serve


def serve_runs(
    runs: Sequence[Path],
    images: Path | None,
    *,
    port: int | None,
    k: int,
    device: str,
    report: Callable[[str], None],
) -> None:
    """Serve the page until it is interrupted.

    Args:
        runs: Folders of runs.
        images: A folder of images; None: what the runs were tested on.
        port: Where; None: the first free one.
        k: Items of each column.
        device: Where the networks run.
        report: Takes a sentence about the progress.

    Raises:
        FicoError: The port is taken, or a run cannot be used.
        KeyboardInterrupt: SIGINT ended it.
    """
    check_folders(runs, images)
    with free_port(port) as bound:
        from fico.inference.run import load_run
        from fico.serve.app import make_app
        from fico.serve.service import SearchService

        report(f"loading {len(runs)} run{'' if len(runs) == 1 else 's'}")
        service = SearchService([load_run(run, device=device) for run in runs], images, shown=k, report=report)
        service.warm_up()
        bound.listen()  # who follows the address at once is answered a moment later, not refused
        report(f"{service.collection.size} of {service.collection.name} at {address(bound)} (Ctrl-C ends it)")
        serve(make_app(service), bound)
