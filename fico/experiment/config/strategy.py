"""Whether the processes of a run are started in a way that works."""

import os
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.errors import UsageError
from fico.experiment.resume.processes import is_torchrun

_TORCHRUN = (
    "torchrun --nnodes=MACHINES --nproc-per-node=DEVICES --rdzv-backend=c10d --rdzv-endpoint=HOST:PORT run.py "
    "trainer=ddp trainer.devices=DEVICES +trainer.num_nodes=MACHINES"
)


def check_strategy(config: DictConfig, *, is_sweep: bool) -> None:
    """Refuse processes that cannot run the job.

    Args:
        config: The composed config.
        is_sweep: The job is one of several: processes that Lightning starts would start the whole sweep again.

    Raises:
        UsageError: The trainer's strategy pickles the run, or is one of several processes in a sweep; or the processes
            of several machines are not started by torchrun, or not as many as the trainer takes.
    """
    strategy = str(OmegaConf.select(config, "trainer.strategy"))
    if strategy.startswith("ddp_") and strategy.split("_")[1] in ("spawn", "fork", "notebook"):
        raise UsageError(f"trainer.strategy={strategy} copies a run into its processes, which cannot be; take ddp")
    if is_sweep and strategy.startswith("ddp"):
        raise UsageError(
            f"trainer.strategy={strategy} does not work in a sweep (-m); sweep in one process (trainer=auto), or start "
            "one run per job"
        )
    if OmegaConf.select(config, "trainer") is not None:
        _check_machines(config.trainer.get("num_nodes", 1), config.trainer.get("devices"))


def _check_machines(machines: Any, devices: Any) -> None:
    """Processes of several machines share a run's folder, where the first one alone may write: torchrun counts them."""
    if is_torchrun():
        started = int(os.environ["WORLD_SIZE"])
        if isinstance(devices, int) and devices > 0 and devices * machines != started:
            raise UsageError(
                f"torchrun started {started} processes, but trainer.devices={devices} on {machines} machines makes "
                f"{devices * machines}; let trainer.devices be --nproc-per-node and +trainer.num_nodes --nnodes"
            )
        return
    tasks = int(os.environ.get("SLURM_NTASKS", 1)) if "SLURM_STEP_ID" in os.environ else 1  # started by srun
    if machines != 1 or tasks > 1:
        cause = f"trainer.num_nodes={machines}" if machines != 1 else f"srun with {tasks} tasks"
        raise UsageError(f"{cause} needs processes that know their number; start on each machine one {_TORCHRUN}")
