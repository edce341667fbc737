"""``FILE`` or ``FILE:KEY`` as a user types it; found without an import, so that a missing file is reported at once."""

from pathlib import Path

from fico.errors import PathError, UsageError

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
    raise PathError(f"{source} {'is a folder' if Path(source).is_dir() else 'does not exist'}; {wanted}")


def array_file(source: str) -> tuple[Path, str | None]:
    """As `split_source`, of a file that holds arrays.

    Raises:
        DataError: There is no such file.
        UsageError: Its suffix is none of `SUFFIXES`.
    """
    path, key = split_source(source)
    if path.suffix.lower() not in SUFFIXES:
        advice = "; store the tensor by numpy.save(FILE, tensor.numpy())" if path.suffix in (".pt", ".pth") else ""
        raise UsageError(f"{path} has the suffix {path.suffix!r}; readable are {', '.join(SUFFIXES)}{advice}")
    return path, key


def require_one_of_pairs(pairs: str | None, captions_per_image: int | None) -> None:
    """Refuse captions whose image is not said, or said twice.

    Raises:
        UsageError: Both options are set, or neither is.
    """
    if (pairs is None) == (captions_per_image is None):
        got = "neither" if pairs is None else "both"
        raise UsageError(
            f"give either --pairs or --captions-per-image, to say which image each caption belongs to; got {got}"
        )
