"""Synthetic embeddings of two modalities: two maps of one latent, with noise and a gap between them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_LATENT = 48  # numbers that image and caption share
_CENTRES = 300  # subjects that they are about
_SPREAD = 0.5  # of what belongs to one subject, relative to how far subjects lie apart
_OWN = 0.66  # part of the other modality's map that the first does not share; squares of the parts sum to about 1
_ROWS = 8192  # made in one go


@dataclass(frozen=True, slots=True)
class TwoMaps:
    """Rows of length 1 of two modalities of the same subjects.

    A latent around one of 300 centres goes through a linear map and a hyperbolic tangent, and noise is added. The other
    modality has a map that shares three quarters with the first, the same noise and a common offset.

    Args:
        dim: Numbers in a row.
        gap: Length of the other modality's offset, relative to that of a row before it is brought to length 1.
        noise: Standard deviation of a number's noise; the numbers without it lie between -1 and 1.
        seed: Of everything.
    """

    dim: int
    gap: float = 0.4
    noise: float = 0.25
    seed: int = 1338

    def rows(self, count: int, part: int, *, other: bool = False) -> Float[np.ndarray, "count dim"]:
        """Rows, ``float32``.

        Args:
            count: How many.
            part: Another part of the data for every number: items, queries.
            other: Of the other modality.
        """
        shared = np.random.default_rng(self.seed)
        centres = shared.normal(size=(_CENTRES, _LATENT)).astype(np.float32)
        first, own = shared.normal(size=(2, _LATENT, self.dim)).astype(np.float32) / np.sqrt(_LATENT)
        offset = shared.normal(size=self.dim).astype(np.float32)
        offset *= self.gap / np.linalg.norm(offset)
        map_ = np.sqrt(1 - _OWN**2) * first + _OWN * own if other else first
        draw = np.random.default_rng([self.seed, part])
        made = np.empty((count, self.dim), np.float32)
        for start in range(0, count, _ROWS):
            block = made[start : start + _ROWS]
            latent = centres[draw.integers(0, _CENTRES, len(block))]
            latent += _SPREAD * draw.normal(size=latent.shape).astype(np.float32)
            block[:] = np.tanh(latent @ map_) + self.noise * draw.standard_normal(block.shape, np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            if other:
                block += offset
                block /= np.linalg.norm(block, axis=1, keepdims=True)
        return made


def modality_gap(
    items: Float[np.ndarray, "items dim"], queries: Float[np.ndarray, "queries dim"]
) -> tuple[float, float, float]:
    """How far queries lie from the items, all brought to length 1.

    Returns:
        Distance of the two means; mean cosine of a query with its nearest item; and of an item with its nearest other
        item, of at most a thousand of each.

    Source:
        The distance of means: Liang et al. 2022, Mind the Gap, arXiv 2203.02053.
    """
    items, queries = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (items, queries))
    distance = float(np.linalg.norm(items.mean(axis=0) - queries.mean(axis=0)))
    across = (queries[:1000] @ items.T).max(axis=1).mean()
    within = items[:1000] @ items.T
    np.fill_diagonal(within, -np.inf)
    return distance, float(across), float(within.max(axis=1).mean())
