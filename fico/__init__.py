"""Fine-grained and coarse-grained image-text retrieval on one bench.

The public names are loaded on first use, so that ``import fico`` costs nothing and loads no framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fico.util.collector import paused_garbage_collector

if TYPE_CHECKING:
    from fico.codes import HashCodes as HashCodes
    from fico.datasets import load_dataset as load_dataset
    from fico.embeddings.encode import encode as encode
    from fico.embeddings.store import EmbeddingStore as EmbeddingStore
    from fico.errors import DataError as DataError
    from fico.errors import FicoError as FicoError
    from fico.evaluation.evaluate import evaluate as evaluate
    from fico.evaluation.evaluate import evaluate_scores as evaluate_scores
    from fico.evaluation.options import EvaluationOptions as EvaluationOptions
    from fico.evaluation.relevance import CategoryRetrieval as CategoryRetrieval
    from fico.evaluation.relevance import InstanceRetrieval as InstanceRetrieval
    from fico.evaluation.result import RetrievalResult as RetrievalResult
    from fico.evaluation.retrieval_metrics import RetrievalMetrics as RetrievalMetrics
    from fico.inference.run import load_run as load_run
    from fico.scoring.rerank import Rerank as Rerank
    from fico.search.exact import ExactSearch as ExactSearch
    from fico.search.faiss_index import FaissSearch as FaissSearch
    from fico.search.hamming.popcount import PopcountSearch as PopcountSearch
    from fico.search.hybrid.hybrid import HybridSearch as HybridSearch
    from fico.search.sharded.saved import load_index as load_index
    from fico.search.sharded.shards import ShardedSearch as ShardedSearch
    from fico.types import Correspondence as Correspondence
    from fico.types import EncodedBatch as EncodedBatch
    from fico.types import PairBatch as PairBatch
    from fico.types import Ranking as Ranking

_HOME = {
    "CategoryRetrieval": "fico.evaluation.relevance",
    "Correspondence": "fico.types",
    "DataError": "fico.errors",
    "EmbeddingStore": "fico.embeddings.store",
    "EncodedBatch": "fico.types",
    "EvaluationOptions": "fico.evaluation.options",
    "ExactSearch": "fico.search.exact",
    "FaissSearch": "fico.search.faiss_index",
    "FicoError": "fico.errors",
    "HashCodes": "fico.codes",
    "HybridSearch": "fico.search.hybrid.hybrid",
    "InstanceRetrieval": "fico.evaluation.relevance",
    "PairBatch": "fico.types",
    "PopcountSearch": "fico.search.hamming.popcount",
    "Ranking": "fico.types",
    "Rerank": "fico.scoring.rerank",
    "RetrievalMetrics": "fico.evaluation.retrieval_metrics",
    "RetrievalResult": "fico.evaluation.result",
    "ShardedSearch": "fico.search.sharded.shards",
    "encode": "fico.embeddings.encode",
    "evaluate": "fico.evaluation.evaluate",
    "evaluate_scores": "fico.evaluation.evaluate",
    "load_dataset": "fico.datasets",
    "load_index": "fico.search.sharded.saved",
    "load_run": "fico.inference.run",
}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        with paused_garbage_collector():
            home = import_module(_HOME[name])
        globals()[name] = getattr(home, name)  # found without this function from now on
        return globals()[name]
    raise AttributeError(f"module 'fico' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
