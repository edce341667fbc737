"""FAISS indexes from factory strings: built and checked, their search parameters, the bytes of an item."""

import re
from collections.abc import Mapping
from typing import Any

from fico.errors import UsageError
from fico.search.base import import_faiss

_PLACE = re.compile(r"^Error in .*?\.cpp:\d+: (Error: '.*?' failed: )?", re.DOTALL)  # in the source, before the reason
_USUAL_WIDTHS = (64, 512, 2520)  # the last is a multiple of every number up to 10


def build_index(factory: str, width: int, metric: str | None) -> Any:
    """An empty index.

    Args:
        factory: FAISS factory string.
        width: Columns: dimensions of floats, bytes of packed codes.
        metric: ``cosine``, ``inner``, ``euclidean`` or ``hamming`` (of codes as +1 and -1). None: an index of codes.

    Raises:
        UsageError: FAISS knows no such factory, or searches it by another metric.
    """
    faiss = import_faiss()
    try:
        if metric is None:
            return faiss.index_binary_factory(8 * width, factory)
        index = faiss.index_factory(width, factory, _faiss_metric(metric))
    except RuntimeError as error:
        raise UsageError(
            f"FAISS cannot build {factory!r} for {width} columns ({_PLACE.sub('', str(error))}); take another factory, "
            "such as Flat, HNSW32 or BFlat"
        ) from error
    _check_metric(index, factory, metric)
    return index


def check_factory(factory: str, metric: str | None) -> None:
    """Refuses a factory that FAISS can build for no usual number of columns.

    Args:
        factory: FAISS factory string, without ``{lists}``.
        metric: As in `build_index`.

    Raises:
        UsageError: FAISS knows no such factory, or searches it by another metric.
    """
    for width in _USUAL_WIDTHS:
        try:
            build_index(factory, width, metric)
        except UsageError as error:
            refusal = error
        else:
            return
    raise refusal


def _faiss_metric(metric: str) -> int:
    faiss = import_faiss()
    return int(faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT)


def _check_metric(index: Any, factory: str, metric: str) -> None:
    """Refuses an index that searches, in any of its stages, by a metric other than the requested one.

    FAISS drops the metric in silence for some factories, such as a graph over product quantisation.
    """
    faiss = import_faiss()
    stage: Any = index
    while stage is not None:
        stage = faiss.downcast_index(stage)
        if stage.metric_type != _faiss_metric(metric):
            raise UsageError(
                f"FAISS searches {factory!r} by Euclidean distance, whatever the metric, but {metric!r} was requested; "
                "take another factory, or metric='euclidean', which orders rows of one length as cosine does"
            )
        stage = getattr(stage, "base_index", None) or getattr(stage, "index", None)


def set_parameters(index: Any, parameters: Mapping[str, float]) -> None:
    """Sets search parameters of an index by name.

    Raises:
        UsageError: The index has no such parameter.
    """
    faiss = import_faiss()
    for name, value in parameters.items():
        try:
            if isinstance(index, faiss.IndexBinary):
                owner = index if hasattr(index, name) else index.hnsw
                getattr(owner, name)
                setattr(owner, name, value)
            else:
                faiss.ParameterSpace().set_index_parameter(index, name, value)
        except (RuntimeError, AttributeError) as error:
            raise UsageError(f"{type(index).__name__} has no search parameter {name!r}") from error


def bytes_per_item(index: Any) -> int:
    """Bytes that FAISS will take for one more item: its code, and its links in a graph or its id in a list."""
    faiss = import_faiss()
    is_binary = isinstance(index, faiss.IndexBinary)
    inner = index if is_binary else faiss.downcast_index(index)
    links = 4 * inner.hnsw.nb_neighbors(0) + 16 if hasattr(inner, "hnsw") else 8 * hasattr(inner, "nlist")
    if is_binary:
        return int(inner.code_size + links)
    try:
        return int((inner.storage if hasattr(inner, "hnsw") else inner).sa_code_size() + links)
    except RuntimeError:  # an index that does not know the size of its codes
        return int(links)
