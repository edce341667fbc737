"""An index in one file, of any kind."""

from pathlib import Path

from fico.errors import DataError
from fico.search.base import UpdatableSearcher
from fico.search.index_file import index_kind
from fico.util.damaged import readable


def load_file(path: str | Path) -> UpdatableSearcher:
    """Reads an index, whichever searcher saved it.

    Args:
        path: Of the file.

    Raises:
        DataError: It is missing, cut off, changed, or of another version or no index.
    """
    from fico.search.exact import ExactSearch
    from fico.search.faiss_index import FaissSearch
    from fico.search.hamming.popcount import PopcountSearch
    from fico.search.hybrid.hybrid import HybridSearch

    kinds = {"exact": ExactSearch, "faiss": FaissSearch, "hybrid": HybridSearch, "popcount": PopcountSearch}
    kind = index_kind(Path(path))
    if kind not in kinds:
        raise DataError(f"{path} holds an index of kind {kind!r}, which is none of {', '.join(kinds)}; load it as that")
    with readable(path, "build the index again"):
        return kinds[kind].load(path)  # type: ignore[attr-defined,no-any-return]
