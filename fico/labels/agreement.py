"""Agreement of a model's labels with the ground truth."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32

from fico.metrics.voc_average_precision import voc_average_precision


@dataclass(frozen=True, slots=True)
class Agreement:
    """Measures of the multi-label literature, as fractions.

    Args:
        mean_ap: Mean over the classes of the interpolated average precision; classes without an image are left out.
        cf1: F1 of the mean precision and the mean recall of the classes.
        of1: F1 over all entries.
    """

    mean_ap: float
    cf1: float
    of1: float

    def __str__(self) -> str:
        return f"mAP {self.mean_ap:.1%}, CF1 {self.cf1:.1%}, OF1 {self.of1:.1%}"


def agreement(
    scores: Float32[np.ndarray, "images classes"],
    labels: Bool[np.ndarray, "images classes"],
    truth: Bool[np.ndarray, "images classes"],
) -> Agreement:
    """Compare predicted labels and their scores with the ground truth.

    Args:
        scores: Higher is surer.
        labels: Predicted, from the scores.
        truth: The ground truth.

    Source:
        CP, CR, CF1 and OP, OR, OF1 of the literature on COCO: a class without any prediction has precision 0.
    """
    precisions = voc_average_precision(torch.from_numpy(scores.astype(np.float64)), torch.from_numpy(truth))
    hits, predicted, actual = (labels & truth).sum(axis=0), labels.sum(axis=0), truth.sum(axis=0)
    occurs = actual > 0
    precision, recall = (hits / np.maximum(predicted, 1))[occurs].mean(), (hits / np.maximum(actual, 1))[occurs].mean()
    overall = 2 * hits.sum() / max(predicted.sum() + actual.sum(), 1)
    per_class = 2 * precision * recall / max(precision + recall, 1e-12)
    return Agreement(float(precisions.nanmean()), float(per_class), float(overall))
