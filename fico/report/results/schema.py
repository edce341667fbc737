"""``results.json``: everything that a finished run records, validated, and written last."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from fico.errors import DataError, FicoError, PathError
from fico.report.results.metric import Metric, check_metric
from fico.report.results.per_query import QUERIES, QueryTable, queries_csv
from fico.report.results.wording_0_1 import reworded
from fico.util.atomic import atomic_write
from fico.util.damaged import reason
from fico.util.digests.digest import DIGEST, digests_of, is_sealed, sealed

SCHEMA_VERSION = 1
RESULTS = "results.json"
CASCADE = "cascade.csv"  # all depths of a cascade
RUN_FILES = (  # whose digests the results hold, where a run has them
    "results.csv",
    CASCADE,
    QUERIES,
    "report.html",
    "config.yaml",
    "scores.npy",
    "rerank.npy",
    "embeddings/manifest.json",
    "inputs/manifest.json",
    "checkpoints/best.ckpt",
)
UNSEALED = "results.json holds no digest, as version 0.1 wrote none, so a change of its values would not be seen"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What encoded: ``dim`` columns per embedding (None for bare scores), ``bits`` per code of a hashing model."""

    name: str
    family: Literal["vlp", "fine", "coarse"] | None
    size: str | None
    dim: int | None
    bits: int | None
    dtype: str
    query_time_attention: bool = False


@dataclass(frozen=True, slots=True)
class DataInfo:
    """What was evaluated: counts of images and captions, number of categories (0 without labels)."""

    name: str
    split: str
    images: int
    captions: int
    labels: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One index searched with the run's own embeddings.

    Args:
        index: Its name.
        queries: Queries in one batch.
        items: Items in the index.
        build_seconds: Training and adding.
        search_seconds: The whole batch.
        index_bytes: Size of the index.
        top1_in_k: For each k the fraction of queries whose exact nearest item is among the first k.
        overlap_at_k: For each k the fraction of the exact k nearest items among the first k.
        details: Whatever else the comparison says (threads, repeats, spread).
    """

    index: str
    queries: int
    items: int
    build_seconds: float
    search_seconds: float
    index_bytes: int
    top1_in_k: dict[int, float]
    overlap_at_k: dict[int, float]
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> Self:
        """From a JSON object, where keys are text; unknown keys go to ``details``."""
        known = {f.name for f in fields(cls)}
        details = dict(row.get("details", {})) | {key: row[key] for key in row if key not in known}
        plain = {key: row[key] for key in known & set(row)} | {"details": details}
        for table in ("top1_in_k", "overlap_at_k"):
            plain[table] = {int(k): float(v) for k, v in row[table].items()}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class Results:
    """A finished run.

    Args:
        name: Name of the run.
        seed: Seed of everything.
        started: UTC time, ISO 8601.
        seconds: Wall-clock time of the whole run.
        commit: Git commit of the code.
        model: What encoded.
        data: What was evaluated.
        metrics: By name: ``{split}/{task}/{direction}/{metric}`` and ``.../chance/{metric}``.
        efficiency: Times in seconds and sizes in bytes, named with their unit.
        search: Comparison of indexes; empty where none was run.
        versions: Of Python and the packages.
        hardware: The machine.
        config: The resolved configuration.
        key: Hash of config, data and code: equal keys give equal numbers. Empty where unknown.
        hubness: By direction: ``skew_at_10``, ``never_found`` and ``robin_hood`` of ``fico.metrics.hubness``.
        notes: Sentences a reader must know, such as the count of queries without a relevant item.
        files: SHA-256 of the other files of the run, by name; empty before they are written and of version 0.1.
    """

    name: str
    seed: int
    started: str
    seconds: float
    commit: str
    model: ModelInfo
    data: DataInfo
    metrics: dict[str, Metric]
    efficiency: dict[str, Any]
    search: tuple[SearchRow, ...]
    versions: dict[str, str]
    hardware: dict[str, Any]
    config: dict[str, Any]
    key: str = ""
    hubness: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION
    status: str = "finished"
    files: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Refuses values that no finished run can have.

        Raises:
            FicoError: A metric has a value of another type or outside its range, or the status is another.
        """
        if self.status != "finished":
            raise FicoError(f"status is {self.status!r}, expected 'finished'; a run has results only then")
        for name, metric in self.metrics.items():
            check_metric(name, metric)

    def metric(self, name: str) -> Metric | None:
        """The metric ``{task}/{direction}/{metric}`` of the evaluated split, or None."""
        return self.metrics.get(f"{self.data.split}/{name}")

    def as_json(self) -> dict[str, Any]:
        """The object that ``results.json`` holds. Absent intervals, tie bounds and details are left out."""
        plain = asdict(self)
        order = (
            "schema_version",
            "status",
            *(key for key in plain if key not in ("schema_version", "status")),
        )
        plain["metrics"] = {name: metric.as_mapping() for name, metric in self.metrics.items()}
        plain["search"] = [
            {key: row[key] for key in row if key != "details"} | row["details"] for row in plain["search"]
        ]
        return {key: plain[key] for key in order}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """From the object that ``results.json`` holds.

        Raises:
            KeyError, TypeError: A part is missing or has an unknown key.
        """
        known = {f.name for f in fields(cls)}
        parts = {key: plain[key] for key in plain if key in known} | {
            "model": ModelInfo(**plain["model"]),
            "data": DataInfo(**plain["data"]),
            "metrics": {name: Metric.from_mapping(name, metric) for name, metric in plain["metrics"].items()},
            "search": tuple(SearchRow.from_mapping(row) for row in plain["search"]),
            "notes": tuple(plain.get("notes", ())),
        }
        return cls(**parts)


def write_results(folder: Path, results: Results, per_query: Sequence[QueryTable] = ()) -> None:
    """Writes ``results.csv``, ``per_query.csv.gz`` and, last, ``results.json``, each by an atomic write.

    Args:
        folder: Folder of the run; made if it is missing.
        results: What to write; its values were checked when it was made.
        per_query: Ranks and average precisions of each query, from ``query_tables``.

    Raises:
        FicoError: A part cannot be written as JSON (the key is named by the encoder).
    """
    write_values(folder, results, per_query)
    write_results_text(folder, results_text(results, folder))


def write_values(folder: Path, results: Results, per_query: Sequence[QueryTable] = ()) -> None:
    """The files of `write_results` without ``results.json``, whose text then has their digests.

    Raises:
        FicoError: A part cannot be written as JSON (the key is named by the encoder).
    """
    folder = Path(folder)
    (folder / RESULTS).unlink(missing_ok=True)  # an older one must not outlive an interrupted write
    results_text(results)  # refuses what is no JSON before anything is written
    with atomic_write(folder / "results.csv") as temporary:
        temporary.write_text(_metrics_csv(results), encoding="utf-8", newline="")
    with atomic_write(folder / QUERIES) as temporary:
        # no file name and no time in the gzip header: equal runs give equal files
        temporary.write_bytes(gzip.compress(queries_csv(per_query).encode(), mtime=0))


def write_results_text(folder: Path, text: str) -> None:
    """Writes the text of ``results.json`` by an atomic write: the run is finished then."""
    with atomic_write(folder / RESULTS) as temporary:
        temporary.write_text(text, encoding="utf-8")


def results_text(results: Results, folder: Path | None = None) -> str:
    """The text of ``results.json``, with its digest.

    Args:
        results: What it holds.
        folder: Of the run, whose other files are written; their digests enter. None: they do not.

    Raises:
        FicoError: A part cannot be written as JSON (the key is named by the encoder).
    """
    if folder is not None:
        results = replace(results, files=digests_of(folder, RUN_FILES))
    try:
        return json.dumps(sealed(results.as_json()), indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise FicoError(
            f"the results are no JSON: {error}; efficiency, hardware and config must be plain finite values"
        ) from error


def read_results(path: Path, *, is_checked: bool = True) -> Results:
    """Reads ``results.json``, or that of a run's folder.

    Args:
        path: The file or the folder.
        is_checked: Refuse values that differ from the file's digest; `fico verify` says which they are.

    Raises:
        DataError: There is none (the run did not finish), or it is damaged, changed, foreign or of another version.
    """
    path = Path(path)
    if not path.exists() and path.name != RESULTS:
        raise PathError(f"there is no file or folder {path}; give the folder that a run printed last")
    if path.is_dir() and not any((path / name).exists() for name in (RESULTS, "config.yaml", "run.log")):
        raise PathError(
            f"{path} is no folder of a run: it has neither results.json nor config.yaml; give the folder that a run "
            "printed last"
        )
    path = path / RESULTS if path.is_dir() else path
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; a run writes it last, so that run failed, was stopped or is still going"
        )
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        version = plain["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a results file of a run: it is not a JSON object with a schema_version"
        ) from error
    if version != SCHEMA_VERSION:
        raise DataError(f"{path} has schema_version {version}, this release reads {SCHEMA_VERSION}; repeat the run")
    try:
        return Results.from_json(reworded(_checked(plain, path) if is_checked else plain))
    except DataError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, FicoError) as error:
        raise DataError(f"{path} is damaged ({reason(error)}); repeat the run") from error


def _checked(plain: dict[str, Any], path: Path) -> dict[str, Any]:
    """The object without its digest, which must be right; one of version 0.1 has none and gets a note.

    Raises:
        DataError: The digest differs, or is missing though the release that wrote the file writes one.
    """
    if is_sealed(plain, path, "copy it again or repeat the run"):
        return {key: value for key, value in plain.items() if key != DIGEST}
    release = str(plain["versions"].get("fico", "0.1"))
    if not release.startswith("0.1"):
        raise DataError(f"{path} holds no digest, though version {release} writes one; copy it again or repeat the run")
    return {**plain, "notes": [*plain.get("notes", ()), UNSEALED]}


def read_tested(path: Path, *, is_checked: bool = True) -> Results:
    """Like ``read_results``, of a run that tested a model.

    Raises:
        DataError: Also where there are no metrics.
    """
    results = read_results(path, is_checked=is_checked)
    if not results.metrics:
        raise DataError(f"{path} has no metrics of a model, as after a bench; give a run that tested one")
    return results


def _metrics_csv(results: Results) -> str:
    columns = [f.name for f in fields(Metric)]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["metric", *columns])
    for name, metric in results.metrics.items():
        values = (getattr(metric, column) for column in columns)
        writer.writerow([name, *("" if value is None else value for value in values)])
    return table.getvalue()
