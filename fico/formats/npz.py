"""Arrays of ``.npz`` files."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from fico.errors import DataError
from fico.util.damaged import readable


def read_npz(path: Path, remedy: str, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` file by name; nothing in it is unpickled.

    Args:
        path: The file.
        remedy: What to do about a damaged one, such as ``fetch it again``.
        wanted: The only names that are read. None: all.

    Raises:
        DataError: The file is missing or damaged, or what it holds under a name is no array.
    """
    with readable(path, remedy), np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if wanted is None or name in wanted}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member of another form is given as its bytes
            raise DataError(f"{path} holds {name}, which is no array; {remedy}")
    return arrays
