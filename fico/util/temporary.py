"""Names of temporary files and folders that tell who writes them, so that those of killed processes can be removed."""

import os
import re
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil

SUFFIX = ".part"


def temporary_path(path: Path) -> Path:
    """A new hidden name beside ``path``, with the host and the process that write it."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{uuid4().hex[:8]}{SUFFIX}")


def sweep_temporaries(path: Path) -> None:
    """Remove what killed processes of this host left of writing ``path``; that of living ones stays.

    Args:
        path: The finished file or folder, as given to `temporary_path`.
    """
    name = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_host())}-(\d+)-[0-9a-f]{{8}}{re.escape(SUFFIX)}")
    with suppress(OSError):  # the folder is not there, or may not be read: nothing is left in it then
        for found in list(path.parent.iterdir()):
            match = name.fullmatch(found.name)
            if match and not psutil.pid_exists(int(match[1])):
                _remove(found)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"\W+", "_", socket.gethostname()) or "host"
