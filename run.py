"""Hydra's entry: compose a config, check it, hand it over. `python run.py --help` lists the groups."""

import logging
import os
import shlex
import signal
import sys
import traceback
import warnings
from pathlib import Path
from types import FrameType

signal.signal(signal.SIGINT, signal.SIG_DFL)  # until main() takes over: an interrupted import is no traceback

from fico.errors import FicoError
from fico.util.optional import MissingExtra, requires_extra

try:
    with requires_extra("train"):
        import hydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode
        from omegaconf import DictConfig
except MissingExtra as error:
    sys.stderr.write(f"{error}\n")
    raise SystemExit(error.exit_code) from None

from fico.experiment.config.bench import is_bench
from fico.experiment.config.cascade import check_unused, is_cascade
from fico.experiment.config.checks import check_config
from fico.experiment.config.hydra_errors import Stop, is_wrong_usage, sentence
from fico.experiment.config.launcher import check_launcher
from fico.experiment.config.pairing import check_data, check_pairing, check_sweep
from fico.experiment.config.quoting import quoted
from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.config.strategy import check_strategy
from fico.experiment.quiet import quiet
from fico.experiment.resume.processes import end_with_the_first, is_torchrun, launched_rank
from fico.experiment.resume.run_folder import open_run, register_run_folder, remove_stub
from fico.experiment.sweep import sweep_name
from fico.util.disk_errors import REASONS, disk_sentence
from fico.util.quiet import be_quiet

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach main() as they were raised
# Idle threads sleep. Spinning ones, OpenMP's default, made training three to ten times slower on a machine in use.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Interrupted(BaseException):
    """SIGINT or SIGTERM. A BaseException, so that no handler on the way takes it for a failed step."""


_RECEIVED: list[int] = []  # signals; torch turns an exception in the middle of a checkpoint into one of its own


def _interrupt(number: int, frame: FrameType | None) -> None:
    _RECEIVED.append(number)
    raise Interrupted(number)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def job(config: DictConfig) -> None:
    """One run; in a multirun one of many."""
    hydra_config = HydraConfig.get()
    try:
        if hydra_config.mode is RunMode.RUN:
            check_sweep(hydra_config.sweeper.get("params"), hydra_config.overrides.task)
        else:
            check_launcher(hydra_config.runtime.choices, config)
        check_strategy(config, is_sweep=hydra_config.mode is RunMode.MULTIRUN)
        if is_cascade(config):
            check_unused(hydra_config.overrides.task)
        check_pairing(config)
        check_data(config)
        check_config(config, is_start=not is_cascade(config))
        if is_cascade(config):
            from fico.experiment.cascade import run
        elif is_bench(config):
            from fico.experiment.bench import run
        else:
            from fico.experiment.runner import run
        with open_run(Path(hydra_config.runtime.output_dir), config) as unfinished:
            run(config, unfinished)
    except (FicoError, OSError) as error:
        message = error if isinstance(error, FicoError) else _of_the_disk(error)
        if hydra_config.mode is RunMode.MULTIRUN:
            raise message from None  # the other jobs go on, and SweepTable reports it at the end
        raise Stop(message) from None
    finally:
        if hydra_config.mode is RunMode.RUN:
            remove_stub(Path(hydra_config.runtime.output_dir))


def _of_the_disk(error: OSError) -> FicoError:
    """An error that the user can fix, for one of the disk; another is none of the folder's, which `main` reports."""
    sentence = disk_sentence(error)
    if sentence is None:
        raise RuntimeError(str(error)) from error
    return FicoError(sentence)


def _interrupted(number: int) -> int:
    """Say how to go on, and return the exit code."""
    if launched_rank() > 0:  # of several processes the first one speaks; Lightning kills it for a code of another
        return 128 + number if is_torchrun() else 0
    again = shlex.join(argument for argument in sys.orig_argv if argument != "run.resume=never")
    command = "the same torchrun command" if is_torchrun() else again
    sys.stderr.write(f"interrupted by {signal.Signals(number).name}; to go on from there: {command}\n")
    return 128 + number


def _without_folder(error: OSError) -> int:
    """Say why a run's folder cannot be made, and return the exit code."""
    if error.errno in REASONS:
        sys.stderr.write(f"{disk_sentence(error)}\n")
        return 1
    sys.stderr.write(f"{error.filename}: {error.strerror}; choose another folder (hydra.run.dir=FOLDER)\n")
    return 2


def main() -> int:
    """Run the jobs and return the exit code."""
    end_with_the_first()
    register_resolvers()
    register_run_folder()
    if "--quiet" in sys.argv:
        sys.argv.remove("--quiet")
        be_quiet()
    os.environ.setdefault("FICO_SWEEP", sweep_name(sys.argv[1:]))
    sys.argv[1:] = quoted(sys.argv[1:])
    warnings.filterwarnings(
        "ignore", r"\s*'hydra/launcher/.*' is validated against ConfigStore schema"
    )  # of the launchers in conf/hydra
    logging.raiseExceptions = False  # a log that cannot be written, as on a full disk, is no other error's traceback
    quiet()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        job()
    except (Exception, Stop, Interrupted) as error:
        return _interrupted(_RECEIVED[0]) if _RECEIVED else _failed(error)
    return 0


def _failed(error: BaseException) -> int:
    """Say what failed, and return the exit code."""
    if isinstance(error, FicoError | Stop):
        reason = error.args[0] if isinstance(error, Stop) else error
        sys.stderr.write(f"{reason}\n")
        return reason.exit_code
    if is_wrong_usage(error):
        sys.stderr.write(f"{sentence(error)}\n")
        return 2
    if isinstance(error, OSError):  # of Hydra, which makes the folder
        return _without_folder(error)
    traceback.print_exception(error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
