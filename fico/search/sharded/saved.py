"""Saved indexes of any kind, in one file or in shards."""

from pathlib import Path

from fico.search.base import UpdatableSearcher
from fico.search.saved import load_file
from fico.search.sharded.shards import ShardedSearch


def load_index(path: str | Path) -> UpdatableSearcher:
    """Reads an index, whichever searcher saved it.

    Args:
        path: A file, or a folder of shards.

    Raises:
        DataError: It is missing, cut off, changed, or of another version or no index.
    """
    return ShardedSearch.load(path) if Path(path).is_dir() else load_file(path)
