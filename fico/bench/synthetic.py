"""The synthetic vectors of the paper's Table 7, made block by block."""

import numpy as np
import torch
from torch import Tensor

from fico.search.hamming.cpu import run_parts
from fico.util.resources import cores
from fico.util.threads import one_blas_thread

_ROWS_ON_DEVICE = 2**17  # rows that a device makes at a time
_ROWS_TOGETHER = 1024  # that a core makes
_INTRINSIC = 10  # dimensions before the map to `dim`


class SyntheticBlocks:
    """Sine of a random linear map of a 10-dimensional Gaussian: the rows of FAISS's ``SyntheticDataset``.

    Only the Gaussian is kept, 80 bytes a row, so that 6 million rows of 2048 floats need 480 MB and not 49 GB. The
    counts are part of the data: the map is drawn after the Gaussian, so another count gives another map.

    Args:
        dim: Numbers in a row.
        items: Rows of the gallery.
        queries: Query rows, which follow the items.
        train: Training rows, which precede the items; 0 in the paper's use.
        seed: Of the legacy NumPy generator.

    Source:
        FAISS ``contrib.datasets.SyntheticDataset``, whose arrays these equal bit by bit.
    """

    def __init__(self, dim: int, items: int, queries: int, train: int = 0, seed: int = 1338) -> None:
        generator = np.random.RandomState(seed)  # noqa: NPY002  the reference draws from the legacy stream
        self.dim, self.items, self.queries, self._train = dim, items, queries, train
        self._latent = generator.normal(size=(train + items + queries, _INTRINSIC))
        self._map = generator.rand(_INTRINSIC, dim)
        self._frequency = generator.rand(dim) * 4 + 0.1

    def item_rows(self, start: int, stop: int) -> np.ndarray:
        """Items from ``start`` to before ``stop``, ``float32``."""
        return self._rows(self._latent[self._train + start : self._train + min(stop, self.items)])

    def chosen_items(self, rows: np.ndarray) -> np.ndarray:
        """Items of the given numbers, ``float32``."""
        return self._rows(self._latent[self._train + rows])

    def query_rows(self, start: int, stop: int) -> np.ndarray:
        """Queries from ``start`` to before ``stop``, ``float32``."""
        first = self._train + self.items
        return self._rows(self._latent[first + start : first + min(stop, self.queries)])

    def items_on(self, device: str) -> Tensor:
        """All items on a device; it may round the 64-bit sine otherwise, which few of the ``float32`` show."""
        return self._rows_on(device, self._train, self.items)

    def queries_on(self, device: str) -> Tensor:
        """All queries on a device."""
        return self._rows_on(device, self._train + self.items, self.queries)

    def _rows_on(self, device: str, first: int, count: int) -> Tensor:
        rows = torch.empty(count, self.dim, device=device)
        map_, frequency = (torch.from_numpy(part).to(device) for part in (self._map, self._frequency))
        for at in range(0, count, _ROWS_ON_DEVICE):
            stop = min(at + _ROWS_ON_DEVICE, count)
            latent = torch.from_numpy(self._latent[first + at : first + stop]).to(device)
            rows[at:stop] = (latent @ map_).mul_(frequency).sin_()
        return rows

    def _rows(self, latent: np.ndarray) -> np.ndarray:
        rows = np.empty((len(latent), self.dim), np.float32)
        step = max(1, min(_ROWS_TOGETHER, -(-len(latent) // cores())))

        def make(start: int) -> None:
            values = latent[start : start + step] @ self._map
            values *= self._frequency
            rows[start : start + step] = np.sin(values, out=values)

        with one_blas_thread():
            run_parts(make, range(0, len(latent), step), cores())
        return rows
