"""Checkpoint files that are written whole or not at all."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from fico.errors import FicoError
from fico.util.atomic import atomic_write


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint under a temporary name, synced to disk and renamed.

    Differs:
        Lightning's own moves a file from the system's temporary folder, which is a copy from another disk, not synced.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            FicoError: The disk is full, or writing failed in another way.
        """
        try:
            with atomic_write(Path(path)) as temporary, temporary.open("wb") as stream:
                torch.save(checkpoint, stream)
        except RuntimeError as error:  # PyTorch's writer has no other word for a full disk
            raise FicoError(
                f"{path} cannot be written; is its disk full? Free some space and repeat the command"
            ) from error
