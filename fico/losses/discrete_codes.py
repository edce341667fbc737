"""Discrete codes of DADH: one binary code per training pair, solved in closed form after each epoch."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class QuantisationTerms:
    """Squared distance of the continuous codes of each side to the discrete ones."""

    image: Float[Tensor, ""]
    text: Float[Tensor, ""]


def label_projection(
    labels: Float[Tensor, "pairs classes"], codes: Float[Tensor, "pairs bits"], ridge: float
) -> Float[Tensor, "classes bits"]:
    """Ridge regression of codes on labels.

    Args:
        labels: Multi-hot, 0 and 1.
        codes: +1 and -1.
        ridge: Above 0, so that the system has a solution when a class never occurs.
    """
    square = labels.T @ labels + ridge * torch.eye(labels.shape[1], dtype=labels.dtype, device=labels.device)
    projection: Tensor = torch.linalg.solve(square, labels.T @ codes)
    return projection


class DiscreteCodes(nn.Module):
    r"""Quantisation loss to a code matrix shared by both modalities, and the update of that matrix.

    After each epoch :math:`B = \mathrm{sign}(L P + \frac{\mu}{2}(H_i + H_t))` with
    :math:`P = (L^\top L + \lambda I)^{-1} L^\top B`, where ``L`` are the labels and ``H`` the continuous codes as
    they were when their batch was trained on. Rows belong to training pairs, an image with one of its captions.

    Args:
        train_pairs: Number of training pairs. Four matrices of that many rows are held, 1.1 kB a pair at 64 bits.
        classes: Number of labels.
        bits: Length of the code.
        mu: Weight of the continuous codes, at least 0.
        ridge: ``lambda``, above 0.
        seed: Of the initial values, signs of a normal draw.

    Source:
        Bai et al., ICMR 2020, and the authors' public code (``update_B``).

    Differs:
        Where the value before the sign is 0, as it is for a pair that no batch has held yet, the code is
        unchanged; the original would set it to 0. The authors' data have one text per image; with several, each pair
        has its row, with the labels of the image.
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
        """Store the continuous codes and labels of a batch for the next update.

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
        targets = self.codes[rows]
        return QuantisationTerms(image=(targets - images).pow(2).sum(), text=(targets - texts).pow(2).sum())

    @torch.no_grad()
    def update(self) -> Float[Tensor, "pairs bits"]:
        """Solve for the codes; called once after each epoch.

        Returns:
            The values whose signs are the new codes.
        """
        labels = self.labels.to(self.codes.dtype)
        drift = 0.5 * self.mu * (self.image_codes + self.text_codes)
        values = labels @ label_projection(labels, self.codes, self.ridge) + drift
        self.codes.copy_(torch.where(values == 0, self.codes, values.sign()))
        return values
