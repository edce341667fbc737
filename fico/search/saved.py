"""Saved indexes of any kind."""

from pathlib import Path

from fico.errors import DataError
from fico.search.base import Searcher
from fico.search.index_file import index_kind


def load_index(path: str | Path) -> Searcher:
    """Reads an index, whichever searcher saved it.

    Args:
        path: A file, or a folder of shards.

    Raises:
        DataError: It is missing, cut off, changed, or of another version or no index.
    """
    from fico.search.exact import ExactSearch
    from fico.search.faiss_index import FaissSearch
    from fico.search.hybrid import HybridSearch
    from fico.search.popcount import PopcountSearch
    from fico.search.shards import ShardedSearch

    path = Path(path)
    if path.is_dir():
        return ShardedSearch.load(path)
    kinds = {"exact": ExactSearch, "faiss": FaissSearch, "hybrid": HybridSearch, "popcount": PopcountSearch}
    kind = index_kind(path)
    if kind not in kinds:
        raise DataError(f"{path} holds an index of kind {kind!r}, which is none of {', '.join(kinds)}; load it as that")
    return kinds[kind].load(path)  # type: ignore[attr-defined,no-any-return]
