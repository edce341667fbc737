"""Canonical correlation analysis: linear projections of images and texts of greatest correlation."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint

_LOG = logging.getLogger(__name__)
Vectors = Float[Tensor, "items dims"]
Spectrum = tuple[Float[Tensor, " dim"], Float[Tensor, "dim dim"]]  # eigenvalues, rising, and eigenvectors


@dataclass(frozen=True, slots=True)
class Regularisation:
    """How much of the sample's correlation is believed.

    Args:
        dims: Pairs of directions that are used, best first.
        image_ridge: Added to the diagonal of the image covariance, as a fraction of its mean variance; 0 adds nothing.
        text_ridge: The same of the text covariance.
        power: Each pair of directions is weighted by its correlation to this power; 0 weights all alike.
    """

    dims: int
    image_ridge: float
    text_ridge: float
    power: float = 0.0


class CCA(nn.Module):
    """Linear CCA, fitted in closed form from the sums of all pairs seen so far; they may come in any batches.

    Before the fit the directions are random.

    Args:
        image_dim: Width of the image features.
        text_dim: Width of the text features.
        dims: Pairs of directions, best first, at most the smaller width.
        ridge: Added to the diagonal of each covariance, as a fraction of its mean variance; 0 adds nothing.
        components: Principal components of each side that CCA is fitted on, at most its width; None: all features.

    Source:
        Hotelling, Biometrika 28, 1936; for retrieval Rasiwasia et al., ACM MM 2010; directions weighted by a power of
        their correlation: Gong et al., IJCV 106, 2014.
    """

    def __init__(
        self, image_dim: int, text_dim: int, dims: int = 5, ridge: float = 1e-3, components: int | None = None
    ) -> None:
        super().__init__()
        least = _most_dims(image_dim, text_dim, components)
        if not 1 <= dims <= least:
            raise ValueError(f"dims must be in 1..{least}, the smaller width, got {dims}")
        self.dims = self.wanted_dims = dims
        self.regularisation = Regularisation(dims, ridge, ridge)
        self._components = components
        self.image_directions = nn.Parameter(torch.randn(image_dim, dims))
        self.text_directions = nn.Parameter(torch.randn(text_dim, dims))
        self.image_mean: Tensor
        self.text_mean: Tensor
        self.correlations: Tensor
        self.register_buffer("image_mean", torch.zeros(image_dim))
        self.register_buffer("text_mean", torch.zeros(text_dim))
        self.register_buffer("correlations", torch.zeros(dims))
        self.reset()

    def reset(self) -> None:
        """Discard the sums, so that the next fit starts from no pairs."""
        self._pairs = 0
        self._sum: Tensor | float = 0.0
        self._products: Tensor | float = 0.0
        self._spectra: tuple[Spectrum, Spectrum] | None = None  # of both covariances, until further pairs come

    @torch.no_grad()
    def update(self, images: Float[Tensor, "pairs image_dim"], texts: Float[Tensor, "pairs text_dim"]) -> None:
        """Add pairs to the sums, in double precision."""
        both = torch.cat([images, texts], dim=1).double()
        self._pairs += len(both)
        self._sum = self._sum + both.sum(dim=0)
        self._products = self._products + both.T @ both
        self._spectra = None

    @torch.no_grad()
    def solve(self) -> None:
        """Set means, directions and their correlations from the pairs added so far, as ``regularisation`` says.

        Directions beyond its ``dims`` become zero, so that the shapes do not depend on it.

        Raises:
            ValueError: No pair was added.
        """
        if not isinstance(self._sum, Tensor) or not isinstance(self._products, Tensor):
            raise ValueError("no pair was added; call update first")
        mean = self._sum / self._pairs
        covariance = self._products / self._pairs - torch.outer(mean, mean)
        size = len(self.image_mean)
        how, components = self.regularisation, self._components
        if self._spectra is None:
            self._spectra = _spectrum(covariance[:size, :size]), _spectrum(covariance[size:, size:])
        image_whitening = _whitening(self._spectra[0], how.image_ridge, components)
        text_whitening = _whitening(self._spectra[1], how.text_ridge, components)
        left, correlations, right = torch.linalg.svd(
            image_whitening.T @ covariance[:size, size:] @ text_whitening, full_matrices=False
        )
        weights = correlations[: self.dims] ** how.power
        weights[how.dims :] = 0
        self.image_mean.copy_(mean[:size])
        self.text_mean.copy_(mean[size:])
        self.correlations.copy_(correlations[: self.dims])
        self.image_directions.copy_(image_whitening @ left[:, : self.dims] * weights)
        self.text_directions.copy_(text_whitening @ right[: self.dims].T * weights)

    def forward(
        self, images: Float[Tensor, "pairs image_dim"], texts: Float[Tensor, "pairs text_dim"]
    ) -> tuple[Vectors, Vectors]:
        """Unit vectors of both sides."""
        return self.encode_images(images), self.encode_texts(texts)

    def encode_images(self, images: Float[Tensor, "images image_dim"]) -> Vectors:
        """Unit vectors, so that their inner product is the cosine."""
        return F.normalize((images - self.image_mean) @ self.image_directions)

    def encode_texts(self, texts: Float[Tensor, "texts text_dim"], lengths: Tensor | None = None) -> Vectors:
        """Unit vectors. Text features have no length: ``lengths`` is not used."""
        return F.normalize((texts - self.text_mean) @ self.text_directions)

    def load_released(self, path: Path | str) -> "CCA":
        """Load a ``.safetensors`` under our names; no authors released weights.

        Returns:
            The network itself.

        Raises:
            DataError: The file is missing, damaged, or its names or shapes differ from this network's.
        """
        load_strictly(self, read_checkpoint(path), path)
        return self


def capped_cca(image_dim: int, text_dim: int, dims: int = 5, ridge: float = 1e-3, components: int | None = None) -> CCA:
    """`CCA` with fewer directions where the features have no more, which a warning says.

    The width of tf-idf and other text features can be that of the training split: few captions have few words.
    """
    least = _most_dims(image_dim, text_dim, components)
    network = CCA(image_dim, text_dim, min(dims, least), ridge, components)
    if dims > least:
        network.wanted_dims = dims
        _LOG.warning(
            "linear CCA has %d directions, not %d: the features of this training split are %d and %d wide",
            least, dims, image_dim, text_dim,
        )  # fmt: skip
    return network


def _most_dims(image_dim: int, text_dim: int, components: int | None) -> int:
    return min(image_dim, text_dim) if components is None else min(image_dim, text_dim, components)


def _spectrum(covariance: Float[Tensor, "dim dim"]) -> Spectrum:
    values, vectors = torch.linalg.eigh(covariance)
    return values, vectors


def _whitening(spectrum: Spectrum, ridge: float, components: int | None) -> Float[Tensor, "dim components"]:
    """Map to uncorrelated features of variance 1, the ridge counted in; directions without any variance get 0.

    Of all features it is the inverse square root of the covariance; of principal components it maps onto them, and the
    ridge is a fraction of their mean variance.
    """
    values, vectors = spectrum
    if components is not None:
        values, vectors = values[-components:], vectors[:, -components:]
    values = values + ridge * values.clamp(min=0).mean()
    smallest = values[-1] * len(values) * torch.finfo(values.dtype).eps
    roots = torch.where(values > smallest, values.clamp(min=smallest).rsqrt(), 0.0)
    whitening = vectors * roots
    return whitening if components is not None else whitening @ vectors.T
