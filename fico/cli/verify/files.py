"""Whether files are those that were written: all of a run's, or one index, store or cache."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError, PathError
from fico.formats.text import read_json
from fico.inference.inputs import check_inputs
from fico.report.results.runs import is_run
from fico.report.results.schema import RESULTS, read_results
from fico.util.atomic import sha256
from fico.util.cached_folder import MANIFEST, changed_files
from fico.util.zip_records import check_records


@dataclass(slots=True)
class FileCheck:
    """What was found of the files of a run.

    Args:
        whole: Names of those that are as they were written.
        errors: A sentence on each other.
        absent: Names of those that were there when the run ended.
    """

    whole: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def check_run_files(folder: Path) -> FileCheck:
    """Compare every file of a run with its digest.

    Raises:
        DataError: There is no ``results.json``, or it cannot be read at all.
    """
    files, check = read_results(folder, is_checked=False).files, FileCheck()
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            check.absent.append(name)
        elif sha256(path) == digest:
            check.whole.append(name)
        else:
            check.errors.append(f"{name} was changed since it was written (its SHA-256 differs)")
    for name, test in _tests(folder):
        try:
            test()
            check.whole.append(name)
        except DataError as error:
            check.errors.append(str(error))
    return check


def _tests(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and test of what carries its own digest."""
    yield RESULTS, lambda: read_results(folder)
    if (folder / "embeddings").is_dir():
        yield "embeddings", lambda: EmbeddingStore.load(folder / "embeddings")
    if (folder / "inputs").is_dir():
        yield "inputs", lambda: check_inputs(folder)
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        yield f"checkpoints/{path.name}", lambda path=path: check_records(path)  # type: ignore[misc]


def check_other(path: Path) -> str | None:
    """Check what is no run: an index, a folder of shards, an embedding store, or a folder of a cache.

    Returns:
        What it is; None for a run, or for what has no digest.

    Raises:
        DataError: It is not what was written, or there is no such path.
    """
    if not path.exists():
        raise PathError(f"{path} does not exist; give the folder of a finished run, or an index, store or cache")
    if path.is_file() or (path / "shards.index").is_file():
        from fico.search.sharded.saved import load_index

        return f"index {load_index(path).name}"
    if is_run(path) or not (path / MANIFEST).is_file():
        return None
    if "files" not in read_json(path / MANIFEST):
        EmbeddingStore.load(path)
        return "embedding store"
    if changed := changed_files(path):
        raise DataError(f"{path / changed[0]} is missing or was changed; delete {path}, which is made again")
    return "folder of the cache"
