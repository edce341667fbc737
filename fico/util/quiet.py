"""What a run writes to standard error: nothing but warnings with ``--quiet``, and lines above a progress bar."""

import logging
import os
import sys
from typing import TextIO

QUIET = "FICO_QUIET"


def be_quiet() -> None:
    """From here on neither progress nor the steps of a run are logged."""
    os.environ[QUIET] = "1"


def is_quiet() -> bool:
    """Whether `be_quiet` was called, here or in a process that started this one."""
    return os.environ.get(QUIET) == "1"


class AboveTheBar(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment: while a bar is drawn, lines go above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr
