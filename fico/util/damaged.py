"""Whatever a library raises over a file that is missing, cut short, changed or foreign, as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fico.errors import DataError, FicoError, PathError


@contextmanager
def readable(path: Path | str, remedy: str) -> Iterator[None]:
    """Read a file within this block; every error of the reader becomes a `DataError`.

    No list of exceptions would do: each library has kinds of its own for a damaged file, down to ``TokenError`` and
    ``IndexError``, and they change with its release.

    Args:
        path: The file, for the message.
        remedy: What to do, such as ``fetch it again``.

    Raises:
        DataError: The file is missing, is a folder, or cannot be read.
    """
    try:
        yield
    except FicoError:
        raise
    except FileNotFoundError as error:
        raise PathError(f"there is no file {error.filename or path}; put it there, or {remedy}") from error
    except Exception as error:
        if Path(path).is_dir():
            raise DataError(f"{path} is a folder; give the path of a file") from error
        raise DataError(f"{path} is damaged or of another form ({reason(error)}); {remedy}") from error


def reason(error: BaseException) -> str:
    """An error of a library in one line that a reader of the message can use."""
    text = " ".join(str(error).split())
    if "mmap length" in text or isinstance(error, EOFError):
        return "it ends before its data do"
    if isinstance(error, MemoryError):
        return f"it would need more memory than there is: {text}"
    if isinstance(error, KeyError):
        return f"it has no {text}"
    return text or type(error).__name__
