"""The discrete codes of DADH: one binary row per training pair, solved for in closed form after each epoch."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class QuantisationTerms:
    """Squared distance of each side's continuous codes to the discrete ones."""

    image: Float[Tensor, ""]
    text: Float[Tensor, ""]


def label_projection(
    labels: Float[Tensor, "pairs classes"], codes: Float[Tensor, "pairs bits"], ridge: float
) -> Float[Tensor, "classes bits"]:
    """Ridge regression of codes on labels.

    Args:
        labels: Multi-hot, 0 and 1.
        codes: +1 and -1.
        ridge: Above 0, so that a class that never occurs is no division by zero.
    """
    square = labels.T @ labels + ridge * torch.eye(labels.shape[1], dtype=labels.dtype, device=labels.device)
    projection: Tensor = torch.linalg.solve(square, labels.T @ codes)
    return projection


class DiscreteCodes(nn.Module):
    r"""Code matrix that both modalities share, and what it is solved from.

    After each epoch :math:`B = \mathrm{sign}(L P + \frac{\mu}{2}(H_i + H_t))` with
    :math:`P = (L^\top L + \lambda I)^{-1} L^\top B`, where ``L`` are the labels and ``H`` the continuous codes as
    they were when their batch was trained on. Rows belong to training pairs, an image with one of its captions.

    Args:
        train_pairs: Number of training pairs. Four matrices of that many rows are held, 1.1 kB a pair at 64 bits.
        classes: Number of labels.
        bits: Length of the code.
        mu: Pull of the continuous codes, at least 0.
        ridge: ``lambda``, above 0.
        seed: Of the start values, signs of a normal draw.

    Source:
        Bai et al., ICMR 2020, and the authors' public code (``update_B``).

    Differs:
        Where the value before the sign is 0, as it is for a pair that no batch has held yet, the code stays as it
        was; the original would make it 0. The authors' data have one text an image; with several, each pair has its
        row, whose labels are the image's.
    """

    codes: Tensor
    image_codes: Tensor
    text_codes: Tensor
    labels: Tensor

    def __init__(
        self, train_pairs: int, classes: int, bits: int, mu: float = 1e-5, ridge: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.mu = mu
        self.ridge = ridge
        start = torch.randn(train_pairs, bits, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("codes", start.sign())
        self.register_buffer("image_codes", torch.zeros(train_pairs, bits))
        self.register_buffer("text_codes", torch.zeros(train_pairs, bits))
        self.register_buffer("labels", torch.zeros(train_pairs, classes, dtype=torch.bool))

    @torch.no_grad()
    def record(
        self,
        rows: Int64[Tensor, " pairs"],
        images: Float[Tensor, "pairs bits"],
        texts: Float[Tensor, "pairs bits"],
        labels: Bool[Tensor, "pairs classes"],
    ) -> None:
        """Keep what the next update needs of a batch.

        Args:
            rows: Row of each pair.
            images: Continuous image codes of the batch.
            texts: Continuous text codes of the batch.
            labels: Of the pairs.
        """
        self.image_codes[rows] = images
        self.text_codes[rows] = texts
        self.labels[rows] = labels

    def forward(
        self,
        images: Float[Tensor, "pairs bits"],
        texts: Float[Tensor, "pairs bits"],
        rows: Int64[Tensor, " pairs"],
    ) -> QuantisationTerms:
        """Sums, not means, over the batch."""
        wanted = self.codes[rows]
        return QuantisationTerms(image=(wanted - images).pow(2).sum(), text=(wanted - texts).pow(2).sum())

    @torch.no_grad()
    def update(self) -> Float[Tensor, "pairs bits"]:
        """Solve for the codes, once after each epoch.

        Returns:
            The values whose signs the codes are now.
        """
        labels = self.labels.to(self.codes.dtype)
        drift = 0.5 * self.mu * (self.image_codes + self.text_codes)
        values = labels @ label_projection(labels, self.codes, self.ridge) + drift
        self.codes.copy_(torch.where(values == 0, self.codes, values.sign()))
        return values
