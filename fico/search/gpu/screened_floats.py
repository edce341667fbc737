"""Exact search of floats on a GPU: products in half precision leave out what cannot be near, single precision orders.

Tensor cores multiply half precision twenty times as fast as single. How far such a product can be off is bounded by
the lengths of what rounding took away (Cauchy and Schwarz), so nothing that belongs to the result is ever left out.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fico.search.brute_force import nearest_of_blocks
from fico.search.gpu.device import free_device_memory, fuses_kernels, require_device_memory
from fico.search.gpu.gather import gathered
from fico.search.sampling import STRIDE, sampled_rank
from fico.util.compute.precision import full_precision

_QUERIES = 16_384  # of a tile, at most
_ITEMS = 65_536  # of a block: a tile and a block have 2 GiB of products
_PAIRS = 2**26  # scores of one block of plain products
_SMALLEST = 65_536  # items below which plain products are as quick
_TILE_BYTES = 6 * 2**30  # of a tile of queries, at most
_ROUNDING = 2.0**-10  # of a product of about 1 that is kept in half precision, rounded twice


class ScreenedFloats:
    """Rows on a device, in single precision and, for the screening, in half.

    Args:
        device: As torch names it.
        is_cosine: Rows and queries are brought to length 1.
        smallest: Items from which half precision screens.
    """

    def __init__(self, device: str, is_cosine: bool, smallest: int = _SMALLEST) -> None:
        self.device, self._is_cosine, self._smallest = device, is_cosine, smallest
        self._added: list[Tensor] = []
        self._half: _Half | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes on the device."""
        parts = [*self._added, *([] if self._half is None else [self._half.rows, self._half.sample])]
        return sum(part.numel() * part.element_size() for part in parts)

    def add(self, rows: Float[Tensor, "items dim"]) -> None:
        """Adds rows on the device, which no other code may write to; several blocks are put together when searched."""
        self._added.append(torch.nn.functional.normalize(rows) if self._is_cosine else rows.contiguous())
        self._half = None

    def rows(self) -> Float[Tensor, "items dim"]:
        """All rows.

        Raises:
            UsageError: The device is short of memory to put several blocks together.
        """
        if len(self._added) > 1:
            size = sum(4 * rows.numel() for rows in self._added)
            require_device_memory(self.device, size, f"{sum(map(len, self._added))} items that are put together")
            self._added = [torch.cat(self._added)]
        return self._added[0]

    def chosen(self, mask: np.ndarray) -> "ScreenedFloats":
        """A copy that holds some of the rows.

        Args:
            mask: `` rows``, bool.

        Raises:
            UsageError: The device is short of memory for the copy (the predicted size is named).
        """
        rows = self.rows()
        size = int(mask.sum()) * rows.shape[1] * rows.element_size()
        require_device_memory(self.device, size, f"a copy of {int(mask.sum())} items")
        some = ScreenedFloats(self.device, self._is_cosine, self._smallest)
        some._added = [rows[torch.from_numpy(np.flatnonzero(mask)).to(self.device)]]
        return some

    def search(
        self, queries: Float[Tensor, "queries dim"], k: int
    ) -> Iterator[tuple[slice, Float[Tensor, "tile k"], Int[Tensor, "tile k"]]]:
        """The k items of largest product, ties by lowest item, some queries at a time.

        Args:
            queries: On the device, ``float32``.
            k: Items of each query, at most all.

        Yields:
            Which queries, and their scores and items on the device.

        Raises:
            UsageError: The device is short of memory for the rows in half precision, or to put blocks together.
        """
        if self._is_cosine:
            queries = torch.nn.functional.normalize(queries)
        count, capacity = len(self.rows()), 8 * k + 1024
        is_small = count < self._smallest or max(_sample_rank(k) * 2 * STRIDE, 4 * capacity) > count
        if is_small:
            step = max(1, _PAIRS // max(k, 4096))
        else:
            half = self._screen()
            # products, hits, and what sorting them takes
            each = 3 * min(_ITEMS, count) + 24 * capacity
            free = min(_TILE_BYTES, free_device_memory(self.device) // 2)
            step = max(1, min(_QUERIES, free // each))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            with full_precision():
                tile = queries[rows].contiguous()
                found = self._by_products(tile, k) if is_small else self._screened(tile, k, half, capacity)
            yield rows, *found

    def _screened(self, queries: Tensor, k: int, half: "_Half", capacity: int) -> tuple[Tensor, Tensor]:
        unit = _unit(queries)
        rounded = unit.half()
        slack = half.slack(unit, rounded)
        limits = (rounded @ half.sample.T).topk(_sample_rank(k), dim=1).values[:, -1]
        hits = _Hits(len(queries), capacity, self.device)
        count = len(half.rows)
        products = torch.empty(len(queries), min(_ITEMS, count), dtype=torch.float16, device=self.device)
        for start in range(0, count, _ITEMS):
            block = half.rows[start : start + _ITEMS]
            kept = products if len(block) == products.shape[1] else products.new_empty(len(queries), len(block))
            hits.keep(torch.mm(rounded, block.T, out=kept), limits, start)
        values, items = hits.best(k)
        # What the k-th product could really be is surely reached by k items; what cannot reach it is left out.
        least = values[:, k - 1].float() - 2 * slack
        is_near = values.float() >= least[:, None]
        is_sure = (limits.float() <= least) & (hits.counts >= k) & (hits.counts <= capacity)  # False under NaN
        width = max(k, int(is_near[is_sure].sum(dim=1).max())) if is_sure.any() else k
        # In order of id first: the stable sort keeps it among equal scores.
        items = torch.where(is_near, items, count)[:, :width].sort(dim=1).values
        is_item = items < count
        exact = gathered(self.rows(), torch.where(is_item, items, 0), queries)
        values, order = torch.where(is_item, exact, -torch.inf).sort(dim=1, descending=True, stable=True)
        values, items = values[:, :k], items.gather(1, order[:, :k])
        if not is_sure.all():  # the sample misled: these by plain products
            values[~is_sure], items[~is_sure] = self._by_products(queries[~is_sure], k)
        return values, items

    def _screen(self) -> "_Half":
        """Rows in half precision.

        Raises:
            UsageError: The device is short of memory for them.
        """
        if self._half is None:
            rows = self.rows()
            require_device_memory(self.device, 2 * rows.numel(), f"{len(rows)} items in half precision")
            self._half = _Half(rows)
        return self._half

    def _by_products(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Plain products in single precision, by blocks; the oracle of the screening."""
        rows = self.rows()
        width = max(k, min(len(rows), _PAIRS // len(queries)))
        step = max(1, _PAIRS // width)
        parts = []
        for at in range(0, len(queries), step):
            blocks = (rows[start : start + width] for start in range(0, len(rows), width))
            parts.append(nearest_of_blocks(queries[at : at + step], blocks, "inner", k))
        values = np.concatenate([part.scores for part in parts])
        items = np.concatenate([part.indices for part in parts])
        return torch.from_numpy(values).to(self.device), torch.from_numpy(items).to(self.device)


class _Half:
    """Rows in half precision, at most of length 1, and how much rounding took away.

    Args:
        full: The rows.
    """

    def __init__(self, full: Tensor) -> None:
        blocks = range(0, len(full), _ITEMS)
        # The largest number first: squares of very small or large ones under- or overflow.
        peak = max(max(float(full[at : at + _ITEMS].abs().max()) for at in blocks), 1e-38)
        longest = max(float((full[at : at + _ITEMS] / peak).norm(dim=1).max()) for at in blocks)
        self.rows = torch.empty(full.shape, dtype=torch.float16, device=full.device)
        self._lost = 0.0
        for at in blocks:
            scaled = full[at : at + _ITEMS] / peak / max(longest, 1.0)
            self.rows[at : at + _ITEMS] = scaled
            self._lost = max(self._lost, float((scaled - self.rows[at : at + _ITEMS].float()).norm(dim=1).max()))
        self.sample = self.rows[::STRIDE].contiguous()

    def slack(self, unit: Tensor, rounded: Tensor) -> Tensor:
        """How far a product in half precision may be from the true one, for each query of length 1."""
        lost: Tensor = (unit - rounded.float()).norm(dim=1)
        summed = unit.shape[1] * 2.0**-23
        return lost + (1 + lost) * self._lost + summed + _ROUNDING


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; the largest number first, since squares of very small or large ones under- or overflow."""
    peak = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-38)
    return torch.nn.functional.normalize(rows / peak)


def _sample_rank(k: int) -> int:
    """Of the sample: far enough below the k nearest that hardly a query is searched twice."""
    return sampled_rank(k, deviations=6) + 2


class _Hits:
    """Items of some queries that came within their limits."""

    def __init__(self, queries: int, capacity: int, device: str) -> None:
        self.capacity = capacity
        self.counts = torch.zeros(queries, dtype=torch.int32, device=device)
        self._keep: Callable[..., None] | None = None
        if fuses_kernels(device):
            from fico.search.gpu.threshold_triton import keep

            self._keep = keep
        self._values = torch.full((queries, capacity), -torch.inf, dtype=torch.float16, device=device)
        self._items = torch.zeros(queries, capacity, dtype=torch.int32, device=device)

    def keep(self, products: Tensor, limits: Tensor, first: int) -> None:
        """Appends what reaches the limits, in any order; what exceeds the capacity is only counted."""
        if self._keep is not None:
            self._keep(products, limits, first, self.counts, self._values, self._items)
            return
        row, column = (products >= limits[:, None]).nonzero(as_tuple=True)
        counts = torch.bincount(row, minlength=len(limits))
        slot = torch.arange(len(row), device=row.device) + (self.counts - counts.cumsum(0) + counts)[row]
        fits = slot < self.capacity
        row, column, slot = row[fits], column[fits], slot[fits]
        self._values[row, slot] = products[row, column]
        self._items[row, slot] = (column + first).to(torch.int32)
        self.counts += counts.to(torch.int32)

    def best(self, k: int) -> tuple[Tensor, Tensor]:
        """Values, descending, and items; k at least, minus infinity where there are fewer."""
        held = min(self.capacity, max(k, int(self.counts.max())))
        values, order = self._values[:, :held].sort(dim=1, descending=True)
        return values, self._items.gather(1, order).long()
