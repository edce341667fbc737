"""The user's cache folder."""

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Folder of files that can be regenerated: ``FICO_CACHE_DIR``, or the system's cache folder."""
    return Path(os.environ.get("FICO_CACHE_DIR") or platformdirs.user_cache_dir("fico"))
