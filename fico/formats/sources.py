"""``FILE`` or ``FILE:KEY`` as a user types it; found without an import, so that a missing file is told at once."""

from pathlib import Path

from fico.errors import DataError

SUFFIXES = (".npy", ".npz", ".safetensors", ".mat", ".h5", ".hdf5", ".h5py")


def split_source(source: str) -> tuple[Path, str | None]:
    """The file of a source and the key behind it, which may be absent.

    Raises:
        DataError: There is no such file.
    """
    if Path(source).is_file():
        return Path(source), None
    cuts = [position for position, letter in enumerate(source) if letter == ":"]
    for cut in reversed(cuts):  # a colon may be part of a folder, a name or a drive, and a key may hold slashes
        if Path(source[:cut]).is_file():
            return Path(source[:cut]), source[cut + 1 :]
    wanted = f"give the path of a file ({', '.join(SUFFIXES)})"
    raise DataError(f"{source} {'is a folder' if Path(source).is_dir() else 'does not exist'}; {wanted}")
