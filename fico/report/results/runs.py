"""The finished runs under some folders, and what was left out of them and why."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fico.errors import DataError, UsageError
from fico.report.results.identity import identity
from fico.report.results.schema import RESULTS, Results, read_results

_TRACE = "run.log"  # what a run leaves first
_INSIDE = ("checkpoints", "embeddings", "wandb", "lightning_logs")  # folders of a run that hold no run


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRun:
    """A finished run and where it is."""

    folder: Path
    results: Results


@dataclass(frozen=True, slots=True, eq=False)
class FoundRuns:
    """What some folders hold.

    Args:
        runs: Finished runs, each setting and seed once.
        left_out: Folder and reason of every run that was not taken.
        repeats: Older runs of a setting and seed that are in ``runs`` too; they may have searched other indexes.
    """

    runs: tuple[FinishedRun, ...]
    left_out: tuple[tuple[Path, str], ...]
    repeats: tuple[FinishedRun, ...] = ()


def find_runs(folders: Iterable[Path], *, keep_repeats: bool = False) -> FoundRuns:
    """Looks for runs in the folders and everything below them.

    Of several runs with the same setting, data and seed the one that started last is taken: averaging them would show
    a spread that no seed made.

    Args:
        folders: Of runs, or with runs somewhere below.
        keep_repeats: Take them all nevertheless.

    Raises:
        UsageError: A folder does not exist, or there is no finished run.
    """
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; give the folders of runs, or folders that hold some")
    runs: list[FinishedRun] = []
    left_out: list[tuple[Path, str]] = []
    for folder in dict.fromkeys(path.resolve() for top in folders for path in _run_folders(top)):
        try:
            runs.append(FinishedRun(folder, read_results(folder)))
        except DataError as error:
            is_there = (folder / RESULTS).exists()
            left_out.append((folder, str(error) if is_there else "it did not finish: there is no results.json"))
    taken, repeats = (tuple(runs), {}) if keep_repeats else _latest(runs)
    if not taken:
        reasons = "".join(f"; {path}: {reason}" for path, reason in left_out[:3])
        raise UsageError(f"no finished run in {', '.join(map(str, folders))}{reasons}")
    left_out += [
        (old.folder, f"{new.folder} has the same setting and seed and is newer") for old, new in repeats.items()
    ]
    return FoundRuns(taken, tuple(left_out), tuple(repeats))


def is_run(folder: Path) -> bool:
    """Whether the folder is that of a run, finished or not."""
    return any((folder / name).exists() for name in (RESULTS, _TRACE))


def machine(results: Results) -> str:
    """What the times of a run were measured on."""
    hardware = results.hardware
    threads = hardware.get("threads")
    cpu = str(hardware.get("cpu", "unknown CPU"))
    if threads:
        cpu += f", {threads} thread{'s' if threads != 1 else ''}"
    return f"{hardware['gpu']}, {cpu}" if "gpu" in hardware else cpu


def _run_folders(top: Path) -> Iterator[Path]:
    if is_run(top):
        yield top
    for path in sorted(top.iterdir()):
        if path.is_dir() and not path.is_symlink() and path.name not in _INSIDE and not path.name.startswith("."):
            yield from _run_folders(path)


def _latest(runs: Sequence[FinishedRun]) -> tuple[tuple[FinishedRun, ...], dict[FinishedRun, FinishedRun]]:
    """The newest run of each setting and seed, and for every other the one that replaces it."""
    groups: dict[tuple[str, int], list[FinishedRun]] = {}
    for run in sorted(runs, key=lambda run: (run.results.started, str(run.folder))):
        groups.setdefault((identity(run.results), run.results.seed), []).append(run)
    replaced = {old: group[-1] for group in groups.values() for old in group[:-1]}
    return tuple(group[-1] for group in groups.values()), replaced
