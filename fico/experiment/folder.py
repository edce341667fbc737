"""The run's folder: its config, and its path on the last line of standard output."""

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fico.util.atomic import atomic_write
from fico.util.quiet import is_quiet

PAGE = "report.html"


def write_config(folder: Path, config: DictConfig) -> None:
    """Write the resolved config, with the sizes that come from the data, before anything long starts."""
    with atomic_write(folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(config, resolve=True), encoding="utf-8")


def print_folder(folder: Path) -> Path:
    """Print where the report is and, as the last line of standard output, the folder's path; return the folder."""
    folder = folder.resolve()
    if (folder / PAGE).exists() and not is_quiet():
        sys.stdout.write(f"the report: {folder / PAGE}\n")
    sys.stdout.write(f"{folder}\n")
    sys.stdout.flush()
    return folder
