"""The folder of a released model, for those that need its config, processor and tokeniser too."""

from pathlib import Path

from fico.errors import DataError
from fico.networks.checkpoint_io.hub import released_folder


def model_folder(source: str | Path) -> Path:
    """Local folder of a whole model; ``source`` as for `released_folder`.

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
