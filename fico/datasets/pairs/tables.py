"""Tables of image paths and captions: CSV, TSV, Kaggle's ``captions.txt``, JSON lines and JSON lists."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fico.datasets.pairs.pair import IMAGE_SUFFIXES
from fico.errors import DataError
from fico.formats.text import read_json, read_text

Rows = Iterator[tuple[str, Mapping[str, Any]]]  # where it stands, for messages, and the row
DELIMITERS = ",\t;|"
LONGEST_FIELD = 1 << 20  # characters; Python's own limit is 131,072


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are read once, one by one.

    Args:
        path: The file.
        columns: Their names.
        rows: Of each, where it stands, and its values by column.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Rows


def read_delimited(path: Path) -> Table:
    """Read a CSV file with a header; its delimiter is that of ``,``, tab, ``;`` and ``|`` which the header has most of.

    Fields may be quoted as Python's ``csv`` and pandas quote them; blanks around the names of columns are dropped.

    Raises:
        DataError: The file is missing, empty or not UTF-8. While rows are read: one has more or fewer fields than the
            header, or a quote is never closed.
    """
    text = read_text(path)
    header, *rest = text.strip("\r\n").splitlines() or [""]
    if not header.strip() or not rest:
        raise DataError(f"{path} holds no pairs; give it a header such as image,caption and a row for each caption")
    delimiter = max(DELIMITERS, key=header.count)
    csv.field_size_limit(LONGEST_FIELD)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = tuple(name.strip() for name in _next(path, lines) or ())
    return Table(path, columns, _rows(path, lines, columns))


def _rows(path: Path, lines: Any, columns: tuple[str, ...]) -> Rows:
    while (fields := _next(path, lines)) is not None:
        origin = f"line {lines.line_num} of {path}"
        if not fields:  # an empty line
            continue
        if len(fields) != len(columns):
            raise DataError(
                f"{origin} has {len(fields)} fields, but the header has {len(columns)} ({', '.join(columns)}); put "
                "quotes around a caption that holds the delimiter"
            )
        yield origin, dict(zip(columns, fields, strict=True))


def _next(path: Path, lines: Any) -> list[str] | None:
    """The next row that is not empty; None at the end."""
    try:
        return next(lines, None)
    except csv.Error as error:
        raise DataError(
            f"line {lines.line_num} of {path} is no row of a CSV file ({error}); check its quotes"
        ) from error


def read_json_lines(path: Path) -> Table:
    """Read a file with one JSON object a line.

    Raises:
        DataError: The file is missing or not UTF-8, or a line is no JSON object.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        origin = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{origin} is no JSON ({error}); put one object a line") from error
        rows.append((origin, row))
    return _objects(path, rows)


def read_json_list(path: Path) -> Table:
    """Read a JSON list of objects, as BLIP and ALBEF have them, or an object with the captions of each image file.

    Raises:
        DataError: The file is missing or no JSON, or of another form.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("images"), list):
        raise DataError(f"{path} is in Karpathy's or COCO's form; take dataset=karpathy or dataset=coco")
    if isinstance(content, dict) and content and all(Path(key).suffix.lower() in IMAGE_SUFFIXES for key in content):
        content = [{"image": image, "caption": captions} for image, captions in content.items()]
    if not isinstance(content, list):
        raise DataError(
            f'{path} is no list of objects such as {{"image": "a.jpg", "caption": "..."}}; with pandas write '
            'to_json(orient="records")'
        )
    return _objects(path, [(f"object {number} of {path}", row) for number, row in enumerate(content, start=1)])


def _objects(path: Path, rows: list[tuple[str, Any]]) -> Table:
    for origin, row in rows:
        if not isinstance(row, dict):
            raise DataError(
                f'{origin} is {str(row)[:40]!r}, expected an object such as {{"image": ..., "caption": ...}}'
            )
    if not rows:
        raise DataError(f"{path} holds no pairs; give it an object for each image or caption")
    columns = tuple(dict.fromkeys(key for _, row in rows for key in row))
    return Table(path, columns, iter(rows))
