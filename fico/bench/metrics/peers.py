"""Other libraries' evaluations for the bench, each imported only when it is called for."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Data of the bench.

    Args:
        images: ``images dim``, float32.
        texts: ``captions dim``, float32.
        image_codes: ``images bits``, +1 and -1.
        text_codes: ``captions bits``.
        pairs: Image row of each caption, grouped, equally many for each image.
        labels: ``images classes``, multi-hot.
        device: Where peers compute that can.
    """

    images: np.ndarray
    texts: np.ndarray
    image_codes: np.ndarray
    text_codes: np.ndarray
    pairs: np.ndarray
    labels: np.ndarray
    device: str = "cpu"


Call = Callable[[], object]


def fico_itr(data: Problem, work: str) -> Call:
    """fico-itr: the matrix, then a sort per task, cut and direction."""
    library: Any = import_module("fico_itr")

    captions = len(data.pairs) // len(data.images)
    sides = (data.image_codes.astype(np.float32), data.text_codes.astype(np.float32))
    first, second, measure = (*sides, "hamming") if work == "codes" else (data.images, data.texts, "cosine")

    def run() -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            scores = library.compute_similarity(first, second, measure=measure)
            library.instance_retrieval(scores, captions_per_image=captions)
            return [
                library.category_retrieval(scores, data.labels, k=k, captions_per_image=captions)
                for k in (10, 100, None)
            ]

    return run


def hashing_loop(data: Problem, work: str) -> Call:
    """mAP@10/100/N as the hashing repositories compute it: one query at a time, one argsort, one pass per cut."""
    sides = ((data.image_codes, data.text_codes), (data.text_codes, data.image_codes))
    labels = (data.labels.astype(np.float32), data.labels[data.pairs].astype(np.float32))

    def run() -> list[float]:
        means = []
        for (queries, items), (query_labels, item_labels) in zip(sides, (labels, labels[::-1]), strict=True):
            sums = np.zeros(3)
            for query, label in zip(queries, query_labels, strict=True):
                relevant = (label @ item_labels.T > 0).astype(np.float32)
                distance = 0.5 * (items.shape[1] - query.astype(np.float32) @ items.T.astype(np.float32))
                relevant = relevant[np.argsort(distance)]
                for n, cut in enumerate((10, 100, len(relevant))):
                    ranks = np.flatnonzero(relevant[:cut]) + 1.0
                    sums[n] += np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0.0
            means += list(sums / len(queries))
        return means

    return run


def _directions(data: Problem) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cosine scores, relevance at instance and at category level, queries x items, in both directions."""
    first, second = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (data.images, data.texts))
    scores = first @ second.T
    positive = np.arange(len(first))[:, None] == data.pairs
    labels = data.labels.astype(np.float32)
    shared = (labels @ labels.T > 0)[:, data.pairs]
    return [(scores, positive, shared), (scores.T, positive.T, shared.T)]


def torch_loop(data: Problem, work: str) -> Call:
    """The loop of model repositories in torch: one query at a time, one argsort, one pass per cut."""
    images, texts = (
        torch.nn.functional.normalize(torch.from_numpy(side).float().to(data.device))
        for side in ((data.image_codes, data.text_codes) if work == "codes" else (data.images, data.texts))
    )
    labels = torch.from_numpy(data.labels).float().to(data.device)
    owners = torch.from_numpy(data.pairs).to(data.device)
    own = torch.arange(len(images), device=data.device)

    def run() -> list[float]:
        found = []
        for queries, items, of_queries, of_items in ((images, texts, own, owners), (texts, images, owners, own)):
            ranks, sums, item_labels = [], np.zeros(3), labels[of_items]
            for query, image in zip(queries, of_queries, strict=True):
                order = (items @ query).argsort(descending=True)
                ranks.append(int((of_items[order] == image).nonzero()[0]))
                relevant = (item_labels @ labels[image] > 0)[order]
                for n, cut in enumerate((10, 100, len(items))):
                    hits = relevant[:cut].nonzero()[:, 0] + 1.0
                    sums[n] += float(
                        (torch.arange(1, len(hits) + 1, device=data.device) / hits).sum() / max(len(hits), 1)
                    )
            found += [float(np.mean(np.array(ranks) < k)) for k in (1, 5, 10)] + list(sums / len(queries))
        return found

    return run


def torchmetrics(data: Problem, work: str) -> Call:
    """torchmetrics: three hit rates and three MAPs on flattened scores, shifted above 0 so that it counts them."""
    from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP

    def run() -> list[Any]:
        found = []
        for scores, positive, shared in _directions(data):
            queries = torch.arange(len(scores), device=data.device)[:, None].expand(*scores.shape).reshape(-1)
            shifted = torch.from_numpy(scores.copy()).to(data.device).reshape(-1) + 2
            for relevant, metrics in (
                (positive, [RetrievalHitRate(top_k=k) for k in (1, 5, 10)]),
                (shared, [RetrievalMAP(top_k=k) for k in (10, 100, None)]),
            ):
                target = torch.from_numpy(relevant.copy()).to(data.device).reshape(-1)
                found += [metric(shifted, target, indexes=queries) for metric in metrics]
        return found

    return run


def pytorch_metric_learning(data: Problem, work: str) -> Call:
    """pytorch-metric-learning: precision@1 and MAP of image queries, by the nearest neighbours of FAISS."""
    library: Any = import_module("pytorch_metric_learning.utils.accuracy_calculator")

    labels = torch.from_numpy(data.labels).to(data.device)
    owners = torch.from_numpy(data.pairs).to(data.device)
    calculator = library.AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision"),
        k=len(data.texts),
        label_comparison_fn=lambda x, y: (x.bool() & y.bool()).any(dim=-1),  # it hands labels on as floats
        device=torch.device(data.device),
    )
    images, texts = (
        torch.nn.functional.normalize(torch.from_numpy(side).to(data.device)) for side in (data.images, data.texts)
    )
    return lambda: calculator.get_accuracy(images, labels, texts, labels[owners])


def _as_dicts(scores: np.ndarray, relevant: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [str(n) for n in range(scores.shape[1])]
    runs = {str(q): dict(zip(names, row.tolist(), strict=True)) for q, row in enumerate(scores)}
    qrels = {str(q): {names[n]: 1 for n in np.flatnonzero(row)} for q, row in enumerate(relevant)}
    return runs, qrels


def pytrec_eval(data: Problem, work: str) -> Call:
    """pytrec_eval: success and map of both tasks, the dictionaries it needs included."""
    library: Any = import_module("pytrec_eval")

    measures = ({"success.1,5,10"}, {"map", "map_cut.10,100"})

    def run() -> list[Any]:
        found = []
        for scores, positive, shared in _directions(data):
            for relevant, wanted in zip((positive, shared), measures, strict=True):
                runs, qrels = _as_dicts(scores, relevant)
                found.append(library.RelevanceEvaluator(qrels, wanted).evaluate(runs))
        return found

    return run


def ranx(data: Problem, work: str) -> Call:
    """ranx: hit rate and map of both tasks, the dictionaries it needs included."""
    library: Any = import_module("ranx")

    measures = (["hit_rate@1", "hit_rate@5", "hit_rate@10"], ["map@10", "map@100", "map"])

    def run() -> list[Any]:
        found = []
        for scores, positive, shared in _directions(data):
            for relevant, wanted in zip((positive, shared), measures, strict=True):
                runs, qrels = _as_dicts(scores, relevant)
                kept = {query: row for query, row in qrels.items() if row}
                runs = {query: runs[query] for query in kept}
                found.append(library.evaluate(library.Qrels(kept), library.Run(runs), wanted))
        return found

    return run


# maker, sizes it can be run at (the others need tens of GiB or hours), kinds of work
PEERS: dict[str, tuple[Callable[[Problem, str], Call], tuple[str, ...], tuple[str, ...]]] = {
    "fico-itr": (fico_itr, ("1k", "5k"), ("float", "codes")),
    "torch loop": (torch_loop, ("1k", "5k"), ("float", "codes")),
    "hashing loop": (hashing_loop, ("1k", "5k"), ("codes",)),
    "pytrec_eval": (pytrec_eval, ("1k",), ("float",)),
    "torchmetrics": (torchmetrics, ("1k",), ("float",)),
    "pytorch-metric-learning": (pytorch_metric_learning, ("1k",), ("float",)),
    "ranx": (ranx, ("1k",), ("float",)),
}
ON_DEVICE = (
    "torch loop",
    "torchmetrics",
    "pytorch-metric-learning",
)  # compute where they are told to; others on the CPU
