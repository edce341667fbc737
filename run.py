"""Hydra's entry: compose a config, check it, hand it over. `python run.py --help` lists the groups."""

import os
import signal
import sys
import traceback
from types import FrameType

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

from fico.experiment.config.checks import check_config
from fico.experiment.config.hydra_errors import is_wrong_usage, sentence
from fico.experiment.config.pairing import check_data, check_pairing, check_sweep
from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.sweep import sweep_name

os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach main() as they were raised
# Idle threads sleep. Spinning ones, OpenMP's default, made training three to ten times slower on a machine in use.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Interrupted(BaseException):
    """SIGINT or SIGTERM. A BaseException, so that no handler on the way takes it for a failed step."""


class Stop(BaseException):
    """Carries a FicoError past Hydra, which would print the overrides before it."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def job(config: DictConfig) -> None:
    """One run; in a multirun one of many."""
    hydra_config = HydraConfig.get()
    try:
        if hydra_config.mode is RunMode.RUN:
            check_sweep(hydra_config.sweeper.get("params"), hydra_config.overrides.task)
        check_pairing(config)
        check_data(config)
        check_config(config)
        if config.get("bench"):
            from fico.experiment.bench import run
        else:
            from fico.experiment.runner import run
        run(config)
    except FicoError as error:
        if hydra_config.mode is RunMode.MULTIRUN:
            raise  # the other jobs go on
        raise Stop(error) from None


def main() -> int:
    """Run the jobs and return the exit code."""
    register_resolvers()
    os.environ.setdefault("FICO_SWEEP", sweep_name(sys.argv[1:]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        job()
    except (FicoError, Stop) as error:
        reason = error.args[0] if isinstance(error, Stop) else error
        sys.stderr.write(f"{reason}\n")
        return reason.exit_code
    except Interrupted as error:
        sys.stderr.write(f"interrupted by {signal.Signals(error.args[0]).name}; nothing was finished\n")
        return 128 + int(error.args[0])
    except Exception as error:
        if is_wrong_usage(error):
            sys.stderr.write(f"{sentence(error)}\n")
            return 2
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
