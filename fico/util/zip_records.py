"""Whether files of weights are whole and of a known form, without importing torch."""

import zipfile
from pathlib import Path

from fico.errors import DataError


def check_records(path: Path) -> None:
    """Compare every record of an archive with the CRC-32 that it holds of it, which ``torch.load`` does not.

    Raises:
        DataError: A record differs, or the file is no whole archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # zipfile raises many kinds for a damaged directory
        raise DataError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); was it cut short?") from error
    if broken is not None:
        raise DataError(f"{path} is damaged: {broken} in it is not what was written; take another copy of the file")


def is_weights_file(path: Path) -> bool:
    """Whether a file begins as those of ``torch.save`` or ``safetensors`` do; a folder may hold some."""
    if path.is_dir():
        return True
    with path.open("rb") as file:
        head = file.read(264)
    is_safetensors = head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size
    return is_safetensors or head.startswith((b"PK", b"\x80")) or head[257:262] == b"ustar"
