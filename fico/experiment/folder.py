"""The run's folder: its config, and its path on the last line of standard output."""

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fico.util.atomic import atomic_write


def write_config(folder: Path, config: DictConfig) -> None:
    """Write the resolved config, with the sizes that come from the data, before anything long starts."""
    with atomic_write(folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")


def print_folder(folder: Path) -> Path:
    """Print the folder's path as the last line of standard output, and return the folder."""
    sys.stdout.write(f"{folder.resolve()}\n")
    sys.stdout.flush()
    return folder
