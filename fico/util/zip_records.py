"""Whether the records of a zip archive, such as a file of ``torch.save``, are those that were written."""

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
