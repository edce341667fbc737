"""Fine-grained and coarse-grained image-text retrieval on one bench.

The public names are loaded on first use, so that ``import fico`` costs nothing and loads no framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fico.datasets import load_dataset as load_dataset
    from fico.encoding import encode as encode
    from fico.errors import DataError as DataError
    from fico.errors import FicoError as FicoError
    from fico.evaluation import evaluate as evaluate
    from fico.evaluation import evaluate_scores as evaluate_scores
    from fico.search.exact import ExactSearch as ExactSearch
    from fico.search.faiss_index import FaissSearch as FaissSearch
    from fico.search.hybrid import HybridSearch as HybridSearch
    from fico.search.popcount import PopcountSearch as PopcountSearch
    from fico.search.rerank import Rerank as Rerank
    from fico.search.saved import load_index as load_index
    from fico.search.shards import ShardedSearch as ShardedSearch
    from fico.store import EmbeddingStore as EmbeddingStore
    from fico.tasks.base import RetrievalResult as RetrievalResult
    from fico.tasks.category import CategoryRetrieval as CategoryRetrieval
    from fico.tasks.instance import InstanceRetrieval as InstanceRetrieval
    from fico.types import Correspondence as Correspondence
    from fico.types import EncodedBatch as EncodedBatch
    from fico.types import PairBatch as PairBatch
    from fico.types import Ranking as Ranking

_HOME = {
    "CategoryRetrieval": "fico.tasks.category",
    "Correspondence": "fico.types",
    "DataError": "fico.errors",
    "EmbeddingStore": "fico.store",
    "EncodedBatch": "fico.types",
    "ExactSearch": "fico.search.exact",
    "FaissSearch": "fico.search.faiss_index",
    "FicoError": "fico.errors",
    "HybridSearch": "fico.search.hybrid",
    "InstanceRetrieval": "fico.tasks.instance",
    "PairBatch": "fico.types",
    "PopcountSearch": "fico.search.popcount",
    "Ranking": "fico.types",
    "Rerank": "fico.search.rerank",
    "RetrievalResult": "fico.tasks.base",
    "ShardedSearch": "fico.search.shards",
    "encode": "fico.encoding",
    "evaluate": "fico.evaluation",
    "evaluate_scores": "fico.evaluation",
    "load_dataset": "fico.datasets",
    "load_index": "fico.search.saved",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'fico' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
