"""Interpolated average precision of a multi-label classifier by class, as PASCAL VOC defines it."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def voc_average_precision(
    scores: Float[Tensor, "images classes"], labels: Bool[Tensor, "images classes"]
) -> Float[Tensor, " classes"]:
    """Area under the interpolated precision-recall curve of each class, over all images.

    At each recall the curve takes the best precision at that recall or a higher one. Images without any label count as
    negatives of every class. Images with equal scores keep their order.

    Args:
        scores: Higher is more confident.
        labels: True where the image has the class.

    Returns:
        Fractions 0 to 1; NaN for a class without an image.

    Source:
        PASCAL VOC 2010 and later; reported as mAP, the mean over the classes, by the literature on COCO labels.
    """
    order = scores.argsort(dim=0, descending=True, stable=True)
    hits = labels.gather(0, order).double()
    ranks = torch.arange(1, len(scores) + 1, dtype=torch.float64, device=scores.device)[:, None]
    precisions = hits.cumsum(dim=0) / ranks
    best_from_here = precisions.flip(0).cummax(dim=0).values.flip(0)
    return (best_from_here * hits).sum(dim=0) / hits.sum(dim=0)
