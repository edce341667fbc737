"""Sweeps: one table over all jobs, a list of those that failed, and no finished job run twice."""

import hashlib
import json
import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fico.errors import DataError, FicoError
from fico.experiment.config.hydra_errors import Stop
from fico.experiment.config.launcher import note_launcher
from fico.experiment.config.resolvers import file_name

log = logging.getLogger(__name__)
SOURCE = Path(__file__).resolve().parents[2]
CODE = ("fico", "models", "callbacks")
UNCOUNTED = ("logger", "name", "run")  # keys that no number depends on
LONGEST_NAME = 120
IGNORED = ("-", "hydra.", "hydra/launcher=", "run.", "+run.", "++run.")


def sweep_name(arguments: Sequence[str]) -> str:
    """A folder name for a sweep's command line, so that the same command finds its finished jobs again.

    Args:
        arguments: The command line without the program; options of Hydra itself do not count.

    Returns:
        The overrides, joined, in letters, digits, ``.``, ``_`` and ``-``; with a hash where another character was in
        them, or more than 120.
    """
    overrides = [argument for argument in arguments if "=" in argument and not argument.startswith(IGNORED)]
    joined = "_".join(overrides)
    name = file_name(joined, "sweep")
    if len(name) <= LONGEST_NAME and name == joined.replace("=", "-"):  # else a-b and a,b would be one name
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(joined.encode()).hexdigest()[:8]}"


def run_key(config: Mapping[str, Any], fingerprints: Sequence[str]) -> str:
    """What a run's numbers depend on: its config, its data and the code.

    Args:
        config: Resolved; logger, name and run do not count, as they change no number.
        fingerprints: Of the splits, features and weights.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    digest = hashlib.sha256()
    counted = {key: value for key, value in config.items() if key not in UNCOUNTED}
    digest.update(json.dumps([counted, list(fingerprints)], sort_keys=True).encode())
    for path in sorted(path for folder in CODE for path in (SOURCE / folder).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_finished(folder: Path, key: str) -> bool:
    """Whether the folder holds the results of a run with this key."""
    from fico.report.results.schema import read_results

    try:
        return read_results(folder).key == key
    except DataError:
        return False


class SweepTable(Callback):
    """Hydra callback: prints the table of a sweep at its end, in the sweep's folder as ``sweep.csv`` too."""

    def __init__(self) -> None:
        self._process: int | None = None  # of the sweep; some launchers run each job in one of its own
        self._jobs = 0
        self._failed: list[tuple[str, Exception]] = []

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the launcher, which the config of a job may name differently."""
        self._process = os.getpid()
        note_launcher(config.hydra.runtime.choices)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Remember a failed job; the others go on.

        In the sweep's own process the job counts as completed for Hydra, which would raise the first error before the
        sweep's end is reported. What happens in another process never reaches this object: Hydra raises there.
        """
        if self._process != os.getpid():
            return
        self._jobs += 1
        if job_return.status is JobStatus.FAILED:
            error = job_return._return_value
            self._failed.append((" ".join(job_return.overrides or ()), error))
            if not isinstance(error, FicoError):
                log.error("a job failed", exc_info=error)
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Read the results of all jobs and print one row for each.

        Raises:
            Stop: Jobs failed; with the exit code of the first one.
        """
        from fico.report.compare.sweep_table import print_sweep, write_sweep

        folder = Path(config.hydra.sweep.dir)
        print_sweep(folder)
        write_sweep(folder)
        for overrides, error in self._failed:
            reason = (str(error).splitlines() or ["no message"])[0]
            sys.stderr.write(f"failed: {overrides} ({reason})\n")  # Hydra has closed the log of the jobs
        sys.stdout.write(
            f"tables and figures of these runs: fico report {shlex.quote(str(folder))}\n{folder.resolve()}\n"
        )
        if self._failed:
            message = FicoError(
                f"{len(self._failed)} of {self._jobs} jobs of the sweep failed, for the reasons above; the same "
                "command runs these alone"
            )
            message.exit_code = getattr(self._failed[0][1], "exit_code", 1)
            raise Stop(message)
