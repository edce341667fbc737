"""Exact search of floats on a GPU: products in half precision leave out what cannot be near, single precision orders.

Tensor cores multiply half precision twenty times as fast as single. How far such a product can be off is bounded by
the lengths of what rounding took away (Cauchy and Schwarz), so nothing that belongs to the result is ever left out.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fico.search.device import has_triton, need_device_memory
from fico.search.gathered_rows import gathered
from fico.search.products import scores, top_k
from fico.search.sample import STRIDE, sampled_place

_QUERIES = 16_384  # of a tile
_ITEMS = 65_536  # of a block: a tile and a block have 2 GiB of products
_SMALLEST = 65_536  # items below which plain products are as quick
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
        self._half: Tensor | None = None
        self._scale = self._error = 1.0  # of the rows in half precision: factor, and longest that rounding took away

    @property
    def size_bytes(self) -> int:
        """Bytes on the device."""
        parts = [*self._added, *([] if self._half is None else [self._half])]
        return sum(part.numel() * part.element_size() for part in parts)

    def add(self, rows: Float[Tensor, "items dim"]) -> None:
        """Takes rows on the device; one block is kept where it lies, several are put together."""
        self._added.append(torch.nn.functional.normalize(rows) if self._is_cosine else rows.contiguous())
        self._half = None

    def rows(self) -> Float[Tensor, "items dim"]:
        """All rows."""
        if len(self._added) > 1:
            self._added = [torch.cat(self._added)]
        return self._added[0]

    def search(
        self, queries: Float[Tensor, "queries dim"], k: int
    ) -> Iterator[tuple[slice, Float[Tensor, "tile k"], Int[Tensor, "tile k"]]]:
        """The k items of largest product, ties by lowest item, some queries at a time.

        Args:
            queries: On the device, ``float32``.
            k: Places, at most the number of items.

        Yields:
            Which queries, and their scores and items on the device.

        Raises:
            UsageError: The device has no room for the rows in half precision.
        """
        if self._is_cosine:
            queries = torch.nn.functional.normalize(queries)
        is_small = len(self.rows()) < self._smallest or _place(k) * 2 * STRIDE > len(self.rows())
        step = _QUERIES if is_small else max(256, min(_QUERIES, 2**27 // (8 * k + 1024)))
        for start in range(0, len(queries), step):
            rows = slice(start, min(start + step, len(queries)))
            yield rows, *(self._by_products if is_small else self._screened)(queries[rows].contiguous(), k)

    def _screened(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        half, sample = self._screen()
        unit = torch.nn.functional.normalize(queries)
        asked = unit.half()
        slack = self._slack(unit, asked)
        limits = (asked @ sample.T).topk(_place(k), dim=1).values[:, -1]
        hits = _Hits(len(queries), 8 * k + 1024, self.device)
        products = torch.empty(len(queries), min(_ITEMS, len(half)), dtype=half.dtype, device=self.device)
        for start in range(0, len(half), _ITEMS):
            block = half[start : start + _ITEMS]
            kept = products if len(block) == products.shape[1] else products.new_empty(len(queries), len(block))
            hits.keep(torch.mm(asked, block.T, out=kept), limits, start)
        values, items = hits.best(k)
        # What the k-th product could really be is surely reached by k items; what cannot reach it is left out.
        least = values[:, k - 1].float() - 2 * slack
        is_near = values.float() >= least[:, None]
        amiss = (limits.float() > least) | (hits.counts < k) | (hits.counts > hits.room)
        width = max(k, int(is_near[~amiss].sum(dim=1).max())) if not amiss.all() else k
        # In order of id first: the stable sort keeps it among equal scores.
        items = torch.where(is_near, items, len(half))[:, :width].sort(dim=1).values
        is_item = items < len(half)
        exact = gathered(self.rows(), torch.where(is_item, items, 0), queries)
        values, order = torch.where(is_item, exact, -torch.inf).sort(dim=1, descending=True, stable=True)
        values, items = values[:, :k], items.gather(1, order[:, :k])
        if amiss.any():  # the sample misled: these by plain products
            values[amiss], items[amiss] = self._by_products(queries[amiss], k)
        return values, items

    def _slack(self, unit: Tensor, asked: Tensor) -> Tensor:
        """How far a product in half precision may be from the true one, for each query of length 1."""
        lost: Tensor = (unit - asked.float()).norm(dim=1)
        summed = unit.shape[1] * 2.0**-23
        return lost + (1 + lost) * self._error + summed + _ROUNDING

    def _screen(self) -> tuple[Tensor, Tensor]:
        """Rows in half precision, at most of length 1, and one in 128 of them."""
        rows = self.rows()
        if self._half is None:
            need_device_memory(self.device, 2 * rows.numel(), f"{len(rows)} items in half precision")
            blocks = range(0, len(rows), _ITEMS)
            longest = max(float(rows[at : at + _ITEMS].norm(dim=1).max()) for at in blocks)
            self._scale, self._error = 1 / max(longest, 1e-30), 0.0
            self._half = torch.empty(rows.shape, dtype=torch.float16, device=self.device)
            for at in blocks:
                scaled = rows[at : at + _ITEMS] * self._scale
                self._half[at : at + _ITEMS] = scaled
                lost = scaled - self._half[at : at + _ITEMS].float()
                self._error = max(self._error, float(lost.norm(dim=1).max()))
            self._sample = self._half[::STRIDE].contiguous()
        return self._half, self._sample

    def _by_products(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Plain products in single precision, by blocks; the oracle of the screening."""
        best: tuple[Tensor, Tensor] | None = None
        rows, width = self.rows(), max(k, 2**28 // max(1, 16 * len(queries)))
        for start in range(0, len(rows), width):
            block = rows[start : start + width]
            found = top_k(scores(queries, block, "inner"), min(k, len(block)), start)
            values, items = (torch.from_numpy(part).to(self.device) for part in (found.scores, found.indices))
            best = (values, items) if best is None else _merged(best, (values, items), k)
        assert best is not None
        return best


def _place(k: int) -> int:
    """Of the sample: far enough behind the k nearest that hardly a query is searched twice."""
    return sampled_place(k, deviations=6) + 2


class _Hits:
    """Items of some queries that came within their limits."""

    def __init__(self, queries: int, room: int, device: str) -> None:
        self.room = room
        self.counts = torch.zeros(queries, dtype=torch.int32, device=device)
        self._keep: Callable[..., None] | None = None
        if device != "cpu" and has_triton():
            from fico.search.keep_triton import keep

            self._keep = keep
        self._values = torch.full((queries, room), -torch.inf, dtype=torch.float16, device=device)
        self._items = torch.zeros(queries, room, dtype=torch.int32, device=device)

    def keep(self, products: Tensor, limits: Tensor, first: int) -> None:
        """Appends what reaches the limits, in any order; what there is no room for is counted only."""
        if self._keep is not None:
            self._keep(products, limits, first, self.counts, self._values, self._items)
            return
        row, column = (products >= limits[:, None]).nonzero(as_tuple=True)
        counts = torch.bincount(row, minlength=len(limits))
        place = torch.arange(len(row), device=row.device) + (self.counts - counts.cumsum(0) + counts)[row]
        fits = place < self.room
        row, column, place = row[fits], column[fits], place[fits]
        self._values[row, place] = products[row, column]
        self._items[row, place] = (column + first).to(torch.int32)
        self.counts += counts.to(torch.int32)

    def best(self, k: int) -> tuple[Tensor, Tensor]:
        """Values, descending, and items; k at least, minus infinity where there are fewer."""
        held = min(self.room, max(k, int(self.counts.max())))
        values, order = self._values[:, :held].sort(dim=1, descending=True)
        return values, self._items.gather(1, order).long()


def _merged(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """Results of two blocks of which the second has the larger ids, joined; ties by lowest id."""
    values, items = (torch.cat(parts, dim=1) for parts in zip(one, two, strict=True))
    values, order = values.sort(dim=1, descending=True, stable=True)
    return values[:, :k], items.gather(1, order[:, :k])
