"""A logger of Lightning for Trackio and its local database; importing it without Trackio names the extra."""

import io
from argparse import Namespace
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger

from fico.util.optional import requires_extra

with requires_extra("trackio"):
    import trackio


class TrackioLogger(Logger):  # type: ignore[misc]
    """Logs numbers to Trackio; ``trackio show`` opens its page.

    Args:
        project: Runs of one project are compared.
        name: Of the run.
        group: Of runs that belong together, as those of a sweep.
        config: Of the run.
        options: Further arguments of ``trackio.init``.
    """

    def __init__(
        self,
        project: str,
        name: str | None = None,
        group: str | None = None,
        config: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._project, self._name = project, name
        quiet = {"embed": False, "auto_log_cpu": False, "auto_log_gpu": False}
        about = {"name": name, "group": group, "config": dict(config or {})}
        with redirect_stdout(io.StringIO()):  # standard output is for the tables
            self._run = trackio.init(project, **about, **quiet | options)

    @property
    def name(self) -> str | None:
        """The project."""
        return self._project

    @property
    def version(self) -> str | None:
        """The run's name."""
        return self._name

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs the numbers."""
        self._run.log(dict(metrics), step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Does nothing: the config is logged at the start."""

    def close(self) -> None:
        """Ends the run."""
        with redirect_stdout(io.StringIO()):
            self._run.finish()
