"""Parquet files with image paths, or with the images themselves as the library ``datasets`` stores them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fico.datasets.pairs.columns import Columns
from fico.datasets.pairs.embedded import EmbeddedImage
from fico.datasets.pairs.tables import Table
from fico.errors import DataError
from fico.util.damaged import reason
from fico.util.optional import requires_extra

BATCH = 64  # rows in memory at once; they may hold images


class ParquetFile:
    """A Parquet file, of which the columns that are wanted are read batch by batch.

    Args:
        path: The file.

    Raises:
        MissingExtra: pyarrow is not installed.
        DataError: The file is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        with requires_extra("parquet"):
            import pyarrow.parquet
        self.path = path
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            raise DataError(f"{path} is no readable Parquet file ({reason(error)}); fetch or write it again") from error
        self.columns = tuple(map(str, self._file.schema_arrow.names))

    def has_images(self, column: str) -> bool:
        """Whether a column holds images, as bytes or as a struct with the field ``bytes``, and no paths."""
        import pyarrow.types as kinds

        kind = self._file.schema_arrow.field(column).type
        has_field = kinds.is_struct(kind) and any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or has_field)

    def table(self, columns: Columns) -> Table:
        """The rows of these columns."""
        return Table(self.path, self.columns, self._rows(columns))

    def images(self, columns: Columns) -> Iterator[EmbeddedImage]:
        """The images and their captions; those of equal bytes are one image.

        Raises:
            DataError: A row has no image or no caption.
        """
        for origin, row in self._rows(columns):
            value = row[columns.image]
            name, content = (value.get("path"), value.get("bytes")) if isinstance(value, dict) else ("", value)
            if not content:
                raise DataError(f"{origin} holds no image in {columns.image!r}; take the row out, or embed the image")
            split = str(row[columns.split] or "") if columns.split else ""
            name = str(name or "").replace("\\", "/").rsplit("/", maxsplit=1)[-1]
            yield EmbeddedImage(None, name, content, columns.texts(row, origin), split, origin)

    def _rows(self, columns: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
        number = 0
        try:
            for batch in self._file.iter_batches(BATCH, columns=list(dict.fromkeys(columns.names))):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number} of {self.path}", row
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} is damaged behind row {number} ({reason(error)}); fetch it again") from error
