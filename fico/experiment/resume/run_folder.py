"""The folder of a run: chosen before anything is built, locked while it is written, marked until the run has ended."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.experiment.config.bench import is_bench
from fico.experiment.config.cascade import is_cascade
from fico.experiment.resume.processes import launched_rank, shared
from fico.experiment.resume.unfinished import Unfinished, find_folder
from fico.experiment.sweep import run_key
from fico.util.locks.folder_lock import locked_folder

log = logging.getLogger(__name__)
_chosen: dict[str, str] = {}
LOG = "run.log"  # of conf/hydra/job_logging
STUB_SECONDS = 3600.0  # after which a folder without a mark is none of a run that is about to begin


def register_run_folder() -> None:
    """Make ``run_folder`` known to OmegaConf; may be called again."""
    OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


def _run_folder(fresh: str, *, _root_: DictConfig) -> str:
    """``${run_folder:ROOT/DATE/NAME}``: the unfinished run of the same config and code under ROOT, else this folder."""
    if fresh not in _chosen:  # Hydra asks again while the run writes its folder
        _chosen[fresh] = shared("folder", lambda: str(_found(Path(fresh), _root_)))
    return _chosen[fresh]


def _found(fresh: Path, config: DictConfig) -> Path:
    try:
        task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        return find_folder(fresh, lambda: request_key(task)) if task.run.resume == "auto" else fresh
    except Exception:  # an invalid config is reported by the checks, which come later
        log.debug("no unfinished run is looked for", exc_info=True)
        return fresh


def request_key(config: DictConfig) -> str:
    """Digest of config and code: what is known of a run before its data are read."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    return run_key(plain, [])


@contextmanager
def open_run(folder: Path, config: DictConfig) -> Iterator[Unfinished]:
    """Lock the folder, say what the run does and where its files will be, and mark it until the block ends.

    Args:
        folder: Of the run; it exists.
        config: As it was composed.

    Yields:
        How far the run came in this folder before.

    Raises:
        UsageError: Another process writes the folder.
    """
    rank, request, is_resumed = launched_rank(), request_key(config), config.run.resume == "auto"
    with locked_folder(folder, rank=rank):
        found = Unfinished.read(folder)
        is_same = found is not None and found.request == request and is_resumed
        run = found if is_same and found is not None else Unfinished(folder, request)
        run.is_resumed = is_resumed
        if rank == 0:
            run.write()
            if _is_default(folder):
                _sweep_stubs(folder.parent.parent)
            before = f"goes on with what was begun at {run.started}" if is_same else "begins"
            log.info("%s (%s) %s; its files: %s", config.name, _work(config), before, _shown(folder))
        yield run
        if rank == 0:
            run.end()


def remove_stub(folder: Path) -> None:
    """Remove the folder of a run that did not begin, unless the user chose it; it holds Hydra's files alone."""
    if launched_rank() == 0 and _is_default(folder) and _is_stub(folder):
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other runs of the day are in it
            folder.parent.rmdir()


def _is_default(folder: Path) -> bool:
    """Whether this process chose the folder, and not the user."""
    return folder.absolute() in (Path(chosen).absolute() for chosen in _chosen.values())


def _sweep_stubs(root: Path) -> None:
    """Remove what runs left that were killed before their first line."""
    for folder in root.glob("*/*/"):
        with suppress(OSError):  # another process removes it too
            if time.time() - folder.stat().st_mtime > STUB_SECONDS and _is_stub(folder):
                shutil.rmtree(folder)


def _is_stub(folder: Path) -> bool:
    """Whether a folder holds nothing but the config of Hydra and a log without a line."""
    names = {path.name for path in folder.iterdir()}
    is_hydras = ".hydra" in names and names <= {".hydra", LOG}
    return is_hydras and (LOG not in names or (folder / LOG).stat().st_size == 0)


def _work(config: DictConfig) -> str:
    if is_bench(config) or is_cascade(config):
        return "bench"
    return ", ".join(config.stage)


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
