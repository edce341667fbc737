"""FAISS indexes from factory strings: built and checked, their search parameters, the bytes of an item."""

import re
from collections.abc import Iterator, Mapping
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
        UsageError: FAISS knows no such factory, or does not search it by this metric.
    """
    faiss = import_faiss()
    try:
        if metric is None:
            index = faiss.index_binary_factory(8 * width, factory)
        else:
            index = faiss.index_factory(width, factory, _faiss_metric(metric))
    except RuntimeError as error:
        raise UsageError(
            f"FAISS cannot build {factory!r} for {width} columns ({_PLACE.sub('', str(error))}); take another factory, "
            "such as Flat, HNSW32 or BFlat"
        ) from error
    for stage in stages(index):
        _check_kind(stage, factory)
        if metric is not None:
            _check_metric(stage, factory, metric)
            _check_transforms(stage, factory, metric)
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


def stages(index: Any) -> Iterator[Any]:
    """An index and those that it wraps or refines with."""
    faiss = import_faiss()
    stage = index if isinstance(index, faiss.IndexBinary) else faiss.downcast_index(index)
    yield stage
    for name in ("base_index", "refine_index", "index", "storage"):
        inner = getattr(stage, name, None)
        if inner is not None:
            yield from stages(inner)


def _check_kind(stage: Any, factory: str) -> None:
    """Refuses kinds of index that do not answer with items by their order and scores of a metric."""
    faiss = import_faiss()
    reasons = {
        ("IndexIDMap", "IndexIDMap2", "IndexBinaryIDMap", "IndexBinaryIDMap2"): (
            "maps ids, which add(items, ids=...) does for every factory; leave IDMap out"
        ),
        ("IndexLSH", "IndexIVFSpectralHash"): "scores by signs, whatever the metric; take a factory of codes, as BFlat",
        ("Index2Layer",): "encodes and cannot be searched; take an IVF factory",
    }
    for names, reason in reasons.items():
        if isinstance(stage, tuple(getattr(faiss, name) for name in names)):
            raise UsageError(f"FAISS's index of {factory!r} {reason}")


def _check_transforms(stage: Any, factory: str, metric: str) -> None:
    """Refuses an index that changes the rows so that another metric results."""
    faiss = import_faiss()
    for number in range(stage.chain.size() if hasattr(stage, "chain") else 0):
        transform = faiss.downcast_VectorTransform(stage.chain.at(number))
        if isinstance(transform, faiss.ITQTransform):
            raise UsageError(f"{factory!r} moves rows by their mean, which changes every metric; take RR or BFlat")
        if isinstance(transform, faiss.NormalizationTransform) and metric != "cosine":
            raise UsageError(f"{factory!r} brings rows to length 1, but {metric!r} was requested; take metric='cosine'")
        if isinstance(transform, faiss.PCAMatrix) and transform.eigen_power:
            raise UsageError(f"{factory!r} whitens rows, which changes every metric; take PCA or PCAR")


def _faiss_metric(metric: str) -> int:
    faiss = import_faiss()
    return int(faiss.METRIC_L2 if metric == "euclidean" else faiss.METRIC_INNER_PRODUCT)


def _check_metric(stage: Any, factory: str, metric: str) -> None:
    """Refuses an index that searches by a metric other than the requested one.

    FAISS drops the metric in silence for some factories, such as a graph over product quantisation.
    """
    if stage.metric_type != _faiss_metric(metric):
        raise UsageError(
            f"FAISS searches {factory!r} by Euclidean distance, whatever the metric, but {metric!r} was requested; "
            "take another factory, or metric='euclidean', which orders rows of one length as cosine does"
        )


def check_complete(index: Any, factory: str, items: int) -> None:
    """Refuses an index that holds another number of items than it was given.

    Raises:
        UsageError: It does (both numbers are named).
    """
    if index.ntotal != items:
        raise UsageError(
            f"FAISS holds {index.ntotal} of the {items} items that {factory!r} was given; take another factory"
        )


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
