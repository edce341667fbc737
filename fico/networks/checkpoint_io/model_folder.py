"""The folder of a released model whose config, processor and tokeniser are needed too."""

from pathlib import Path

from fico.errors import DataError
from fico.networks.checkpoint_io.hub import released_folder


def model_folder(source: str | Path) -> Path:
    """Find the folder that holds everything of a model; see `released_folder` for what may be given.

    Raises:
        DataError: As `released_folder`, or ``source`` is a single file.
    """
    folder = released_folder(source)
    if folder is None:
        raise DataError(
            f"{source} is one file; give the folder that holds it with config.json and the files of the processor and "
            "the tokeniser, or a hub name"
        )
    return folder
