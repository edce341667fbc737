"""RSUM: the sum of R@K of both directions, by which image-text retrieval chooses its epochs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from fico.metrics.metric import BothDirectionsMetric
from fico.metrics.specification import DIRECTIONS, Direction, Task
from fico.metrics.ties import check_cut


@dataclass(frozen=True, slots=True)
class RecallSum(BothDirectionsMetric):
    """RSUM: R@1 + R@5 + R@10 of image to text and of text to image, 0 to 6.

    Args:
        cuts: Cut-offs whose R@K are added; the metrics that are evaluated must have them.
        task: Which items are relevant.

    Raises:
        ValueError: A cut-off is below 1, or there is none.

    Source:
        VSE++ (Faghri et al., BMVC 2018) and the literature after it, as percents from 0 to 600.
    """

    cuts: tuple[int, ...] = (1, 5, 10)
    task: Task = "instance"

    name = "RSUM"
    unit = "sum"

    def __post_init__(self) -> None:
        if not self.cuts:
            raise ValueError("cuts is empty; give at least one cut-off")
        for k in self.cuts:
            check_cut(k)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(f"R@{k}" for k in self.cuts)

    def combine(
        self, values: Mapping[Direction, Mapping[str, Float64[np.ndarray, "..."]]]
    ) -> Float64[np.ndarray, "..."]:
        return np.asarray(sum(values[direction][part] for direction in DIRECTIONS for part in self.parts))

    def definition(self) -> str:
        return f"sum of {', '.join(self.parts)} of both directions, 0 to {2 * len(self.cuts)}"
