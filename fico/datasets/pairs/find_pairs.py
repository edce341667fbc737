"""Which files below ``dataset.root`` hold the pairs, and how each kind is read."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fico.datasets.pairs.columns import ColumnNames, Columns, find_columns
from fico.datasets.pairs.embedded import StoredImage, stored_images
from fico.datasets.pairs.image_paths import ImageLocator
from fico.datasets.pairs.pair import SPLIT_WORDS, Pair, named_split
from fico.datasets.pairs.parquet import ParquetFile
from fico.datasets.pairs.tables import Table, read_delimited, read_json_lines, read_json_list
from fico.datasets.pairs.text_files import read_folder
from fico.datasets.pairs.webdataset import read_samples
from fico.errors import DataError, PathError

_LOG = logging.getLogger(__name__)
TEXT_TABLES = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), read_delimited),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
    ".json": read_json_list,
}
PARQUET = (".parquet", ".pq")
TARS = (".tar", ".tar.gz", ".tgz")
_KAGGLE = "captions.txt"
_SHARD = re.compile(r"\d{3,}")


def find_files(root: Path) -> list[Path]:
    """The files of a folder that hold pairs; none where captions lie in a text file beside each image.

    Tables and archives are looked for in the folder, else in its ``data/``, else in ``train/``, ``val/``, ... below it.
    Several belong together where each names its split (``train.csv``) or is a numbered shard (``train-00000.parquet``).

    Raises:
        DataError: There is nothing, or several files that do not belong together.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise PathError(f"there is no file or folder {root}; correct the path of the data set")
    for folders in (
        [root],
        [root / "data"],
        sorted(path for path in root.iterdir() if path.name.lower() in SPLIT_WORDS),
    ):
        files = sorted(file for folder in folders if folder.is_dir() for file in folder.iterdir() if _kind(file))
        tars = [file for file in files if _kind(file) == "tar"]  # tools write tables of URLs and counts beside them
        if files:
            _check_together(root, tars or files)
            return tars or files
    return []


def _kind(file: Path) -> str:
    """What reads a file; empty for one that holds no pairs."""
    name = file.name.lower()
    if name.startswith(".") or not file.is_file():
        return ""
    if name.endswith(TARS):
        return "tar"
    suffix = file.suffix.lower()
    if suffix == ".txt":
        return "read_delimited" if name == _KAGGLE else ""
    return "parquet" if suffix in PARQUET else getattr(TEXT_TABLES.get(suffix), "__name__", "")


def _check_together(root: Path, files: list[Path]) -> None:
    are_parts = all(split_of_file(file, root) or _SHARD.search(file.stem) for file in files)
    if len(files) > 1 and not (are_parts and len({_kind(file) for file in files}) == 1):
        names = ", ".join(file.name for file in files[:6]) + (", ..." if len(files) > 6 else "")
        raise DataError(f"{root} holds {len(files)} files of pairs ({names}); give the path of one as dataset.root")


def check_columns(root: Path, names: ColumnNames) -> None:
    """Refuse columns that the first table does not have, by its header alone: before anything heavy is imported.

    Without a table, each image must have a file of captions.

    Raises:
        UsageError: There is no such column.
        DataError: As for `find_files`, `read_file` and `read_folder`.
    """
    files = find_files(root)
    if not files:
        next(read_folder(root))
        return
    kind = _kind(files[0])
    if kind == "parquet":
        find_columns(files[0], ParquetFile(files[0]).columns, names)
    elif kind == "read_delimited":
        find_columns(files[0], read_delimited(files[0]).columns, names)


def split_of_file(file: Path, root: Path) -> str:
    """The split that the name of one of several files states, or that of its folder below the root; else empty."""
    return named_split(file.stem) or (SPLIT_WORDS.get(file.parent.name.lower(), "") if file.parent != root else "")


def read_file(path: Path, names: ColumnNames, image_root: Path, split: str = "") -> Iterator[Pair]:
    """Read the pairs of a table or an archive.

    Args:
        path: The file.
        names: Columns that the user names.
        image_root: Folder that holds the images.
        split: Of rows that state none.

    Raises:
        UsageError: There is no such column, or pyarrow is not installed.
        DataError: The file is missing, broken or of an unknown kind.
    """
    suffix = path.suffix.lower()
    if path.name.lower().endswith(TARS):
        stored = stored_images(path, "webdataset", lambda: read_samples(path))
        yield from _pairs_of_stored(stored, split, f"{path}/")
    elif suffix in PARQUET:
        yield from _pairs_of_parquet(ParquetFile(path), names, image_root, split)
    elif suffix in TEXT_TABLES:
        table = TEXT_TABLES[suffix](path)
        yield from _pairs_of_rows(table, _columns(path, table.columns, names), image_root, split)
    else:
        known = ", ".join((*TEXT_TABLES, *PARQUET, *TARS))
        raise DataError(f"{path} is of no kind that is read here ({known}); save it as one of them")


def _columns(path: Path, there: Sequence[str], names: ColumnNames) -> Columns:
    columns = find_columns(path, there, names)
    captions, splits = ", ".join(columns.captions), columns.split or "no column"
    _LOG.info("%s: images from %s, captions from %s, splits from %s", path, columns.image, captions, splits)
    return columns


def _pairs_of_parquet(file: ParquetFile, names: ColumnNames, image_root: Path, split: str) -> Iterator[Pair]:
    columns = _columns(file.path, file.columns, names)
    if file.has_images(columns.image):
        stored = stored_images(file.path, repr(columns), lambda: file.images(columns))
        yield from _pairs_of_stored(stored, split, "")
    else:
        yield from _pairs_of_rows(file.table(columns), columns, image_root, split)


def _pairs_of_stored(images: Sequence[StoredImage], split: str, prefix: str) -> Iterator[Pair]:
    """Pairs of images that lay inside of a file; a prefix keeps equal keys of several files apart."""
    for image in images:
        for text in image.captions:
            yield Pair(prefix + image.key, image.name, image.path, text, image.split or split, image.origin)


def _pairs_of_rows(table: Table, columns: Columns, image_root: Path, split: str) -> Iterator[Pair]:
    locator = ImageLocator(image_root, table.path.parent)
    for origin, row in table.rows:
        name, path = locator.locate(row.get(columns.image), origin)
        stated = "" if columns.split is None else str(row.get(columns.split) or "")
        for text in columns.texts(row, origin):
            yield Pair(str(path), name, path, text, stated or split, origin)
