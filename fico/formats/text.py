"""Text and JSON files of any origin: UTF-8 with or without a byte order mark; only a line feed ends a line."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from fico.errors import DataError, PathError


def read_text(path: Path) -> str:
    """Read UTF-8 text; a byte order mark at its start is dropped.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise PathError(f"there is no file {path}; put it there") from error
    except UnicodeDecodeError as error:
        data = path.read_bytes()
        line, byte = data[: error.start].count(b"\n") + 1, data[error.start]
        likely = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "CP1252"
        raise DataError(
            f"{path} is not UTF-8 in line {line} (byte 0x{byte:02x}, {error.reason}); save it as UTF-8, for instance "
            f"by iconv -f {likely} -t UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file without outer blanks.

    Only a line feed (perhaps after a carriage return) ends a line. `str.splitlines` would also cut at the form feeds,
    U+0085, U+2028 and others that captions from the web contain.

    Returns:
        Every line, empty ones too, save for empty ones at the end of the file.

    Raises:
        DataError: As for `read_text`.
    """
    lines = [line.strip() for line in read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_items(path: Path) -> list[str]:
    """Read a list file with one item a line.

    Raises:
        DataError: The file is missing or not UTF-8, or a line other than the last is empty.
    """
    found = read_lines(path)
    if "" in found:
        raise DataError(f"line {found.index('') + 1} of {path} is empty; every line stands for an item")
    return found


def read_json(path: Path) -> Any:
    """Read a JSON file, plain or ``.gz``.

    Raises:
        DataError: The file is missing or no JSON.
    """
    try:
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)  # bytes may start with a mark
    except FileNotFoundError as error:
        raise PathError(f"there is no file {path}; put it there") from error
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not readable JSON ({error}); fetch or make it again") from error
