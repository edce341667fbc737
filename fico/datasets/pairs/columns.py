"""Which column of a table holds the image, the captions and the split."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fico.errors import DataError, UsageError

# By what the column holds; of several that a table has, the first of the list is taken.
USUAL = {
    "image": (
        "image", "image_path", "image_file", "image_filename", "image_name", "filepath", "file_path", "file_name",
        "filename", "file", "path", "img", "img_path", "picture", "photo",
    ),
    "caption": (
        "caption", "captions", "text", "texts", "sentence", "sentences", "raw", "description", "comment", "title",
        "alt_text",
    ),
    "split": ("split", "set", "partition"),
}  # fmt: skip
_NUMBERED = re.compile(r"(caption|text|sentence|comment)_?\d+")


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Columns that a user names; None: found by their usual names.

    Args:
        image: Path of the image, or the image itself.
        caption: One caption, or a list of captions.
        split: ``train``, ``val`` or ``test``.
    """

    image: str | None = None
    caption: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table.

    Args:
        image: Path of the image, or the image itself.
        captions: One column, or several with one caption each.
        split: None where the table does not say.
    """

    image: str
    captions: tuple[str, ...]
    split: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns."""
        return (self.image, *self.captions, *([self.split] if self.split else []))

    def texts(self, row: Mapping[str, Any], origin: str) -> list[str]:
        """The captions of a row without outer blanks.

        Raises:
            DataError: There is none, or one is empty or no text.
        """
        values = [row.get(name) for name in self.captions]
        flat = [text for value in values for text in (value if isinstance(value, list) else [value])]
        texts = [text.strip() for text in flat if isinstance(text, str)]
        if not all(texts) or not texts or len(texts) < len(flat):
            held = next((text for text in flat if not isinstance(text, str) or not text.strip()), None)
            columns = " or ".join(map(repr, self.captions))
            raise DataError(f"{origin} has no caption in {columns} (it holds {held!r}); write one, or take the row out")
        return texts


def find_columns(path: Path, there: Sequence[str], given: ColumnNames) -> Columns:
    """Find the columns of a table.

    Args:
        path: The table, for messages.
        there: Names of its columns.
        given: What the user names.

    Raises:
        UsageError: There is no such column; those that exist are named.
        DataError: No column has a usual name; those that exist are named, or that the table seems to have no header.
    """
    image = _find(path, there, "image", given.image)
    if image is None:
        raise DataError(_unknown(path, there, "image"))
    caption = _find(path, there, "caption", given.caption)
    captions = (caption,) if caption else tuple(name for name in there if _NUMBERED.fullmatch(_plain(name)))
    if not captions:
        raise DataError(_unknown(path, there, "caption"))
    return Columns(image, captions, _find(path, there, "split", given.split))


def _find(path: Path, there: Sequence[str], role: str, given: str | None) -> str | None:
    if given is not None:
        if given not in there:
            near = difflib.get_close_matches(given, there, n=1)
            raise UsageError(
                f"{path} has no column {given!r} (dataset.{role}_column), only {_listed(there)}"
                + (f"; did you mean {near[0]}?" if near else "; name one of them")
            )
        return given
    by_plain = {_plain(name): name for name in reversed(there)}
    return next((by_plain[name] for name in USUAL[role] if name in by_plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _unknown(path: Path, there: Sequence[str], role: str) -> str:
    if any(Path(name).suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") for name in there):
        return (
            f"{path} has no header: it begins with {_listed(there)}; put a first line such as image,caption before it"
        )
    return (
        f"{path} has no column with a usual name of the {role} ({', '.join(USUAL[role][:4])}, ...), only "
        f"{_listed(there)}; name one by dataset.{role}_column"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= 40 else f"{name[:40]}..." for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"
