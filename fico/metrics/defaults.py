"""The metrics that are evaluated unless others are listed; ``conf/metric/both.yaml`` lists the same ones."""

from functools import lru_cache

from fico.metrics.average_precision import AveragePrecision
from fico.metrics.ndcg import NDCG
from fico.metrics.precision_recall import RECALL_LEVELS, InterpolatedPrecision, RadiusCurves
from fico.metrics.rank import MRR, MeanR, MedR
from fico.metrics.recall import Recall
from fico.metrics.recall_sum import RecallSum
from fico.metrics.specification import Denominator, Median, RecallKind, RetrievalMetric


@lru_cache(maxsize=16)
def default_metrics(
    recall_at: tuple[int, ...] = (1, 5, 10, 50, 100, 200),
    map_at: tuple[int, ...] = (10, 100),
    recall: RecallKind = "any",
    ap: Denominator = "hits",
    median: Median = "floor",
) -> tuple[RetrievalMetric, ...]:
    """Metrics of both tasks, in the order of results and tables.

    Args:
        recall_at: Cut-offs of R@K; RSUM is there if it has all of those that are added.
        map_at: Cut-offs of mAP@K; mAP@N is always there.
        recall: Kind of R@K.
        ap: Denominator of AP@K.
        median: Kind of MedR.
    """
    return (
        *(Recall(k, recall) for k in recall_at),
        MedR(median=median),
        MeanR(),
        MRR(),
        NDCG(10, task="instance"),
        *([RecallSum()] if set(RecallSum().cuts) <= set(recall_at) else []),
        *(AveragePrecision(k, ap) for k in map_at),
        AveragePrecision(None),
        *(InterpolatedPrecision(level) for level in RECALL_LEVELS),
        NDCG(10, task="category"),
        RadiusCurves(),
    )
