"""Proxy hashing loss of DSPH: codes towards the proxies of their classes, codes without a common class apart."""

from math import comb

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.losses.label_triplet import shared_labels
from fico.types import PairBatch

Codes = Float[Tensor, "pairs bits"]


def separating_cosine(bits: int, classes: int) -> float:
    """Greatest cosine of two of ``classes`` codewords that the Gilbert-Varshamov bound grants a code of ``bits``.

    It is :math:`1 - 2 d / bits` for the largest distance :math:`d` with
    :math:`classes * sum_{i < d} binom(bits, i) <= 2^{bits}`.

    Args:
        bits: Length of the code, at least 1.
        classes: Number of codewords.
    """
    distance, covered = 0, 1
    while distance < bits and classes * covered <= 2**bits:
        distance += 1
        covered += comb(bits, distance)
    return 1 - 2 * distance / bits


class ProxyHashing(nn.Module):
    r"""Codes of both sides against one learnt proxy per class, and irrelevant pairs of the batch apart.

    With :math:`c_{ik}` the cosine of code ``i`` and proxy ``k``, a class that the pair has costs :math:`1 - c_{ik}`,
    one that it has not :math:`[c_{ik} - \zeta]_+`; both are means over their entries. Two items of several labels each
    that share none cost :math:`\alpha [\cos - \zeta]_+`, within each side and across.

    Args:
        classes: Number of classes.
        bits: Length of the code.
        threshold: :math:`\zeta`, in -1..1; see `separating_cosine`.
        alpha: Weight of the irrelevant pairs.

    Raises:
        DataError: There are no classes.

    Source:
        DSPH: Huo et al., TCSVT 2023, and the authors' public code (``HyP``), after the hybrid proxy-pair loss of Xu et
        al., ACM MM 2022.

    Differs:
        The original reads :math:`\zeta` from a table of the best known linear codes; the Gilbert-Varshamov bound of
        `hash_loss` is a little below it. A batch without an entry of a kind has no such term; there it is NaN.
    """

    def __init__(self, classes: int, bits: int, threshold: float, alpha: float = 0.8) -> None:
        super().__init__()
        if classes < 1:
            raise DataError(
                "the proxy loss is supervised: it learns a proxy for each class of the labels, but this data set has "
                "none; use a data set with labels, or model.loss=contrast, which needs none"
            )
        self.threshold, self.alpha = threshold, alpha
        self.proxies = nn.Parameter(torch.empty(classes, bits))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")

    def forward(self, images: Codes, texts: Codes, batch: PairBatch) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms, whose sum is the loss.

        Args:
            images: Continuous codes of any length.
            texts: The same; row ``i`` is of the same pair.
            batch: Holds the labels of the pairs.

        Raises:
            DataError: The batch has no labels.
        """
        if batch.labels is None:
            raise DataError("the proxy loss needs the labels of every pair; use a data set with labels")
        labels = batch.labels.bool()
        units = {"image": F.normalize(images), "text": F.normalize(texts)}
        terms = {f"proxy_{side}": self._to_proxies(codes, labels) for side, codes in units.items()}
        return terms | {"irrelevant": self.alpha * self._apart(units["image"], units["text"], labels)}

    def _to_proxies(self, units: Codes, labels: Bool[Tensor, "pairs classes"]) -> Float[Tensor, ""]:
        cosines = units @ F.normalize(self.proxies).T
        return _mean(1 - cosines, labels) + _mean((cosines - self.threshold).clamp(min=0), ~labels)

    def _apart(self, images: Codes, texts: Codes, labels: Bool[Tensor, "pairs classes"]) -> Float[Tensor, ""]:
        several = labels.sum(dim=1) > 1
        is_irrelevant = shared_labels(labels[several]) == 0
        first, second = images[several], texts[several]
        pairs = ((first, first), (second, second), (first, second))
        return torch.stack([_mean((a @ b.T - self.threshold).clamp(min=0), is_irrelevant) for a, b in pairs]).sum()


def _mean(values: Float[Tensor, "rows columns"], chosen: Bool[Tensor, "rows columns"]) -> Float[Tensor, ""]:
    """Mean of the chosen entries; 0 without any."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
