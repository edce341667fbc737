"""The exact Hamming search on a GPU: codes as +1 and -1, whose product tells the distance.

Per tile of queries a limit is taken from a sample of the codes; one fused pass then forms all products and appends
the few that reach the limit, so that no matrix of queries by items ever exists. A query whose limit proves too tight,
or lets through more than there is room for, is searched again by plain products: the result is exact for any data.
"""

import re
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fico.errors import UsageError
from fico.search.base import merge
from fico.search.codes import unpack_codes
from fico.search.exact import scores, top_k
from fico.search.popcount_scan import STRIDE, Codes, sampled_place
from fico.types import Ranking

ID_BITS = 40  # a hit is one integer: distance above, id below
_PAIRS = 2**28  # scores of one block of plain products: 1 GiB
_TILE = 8192  # queries of one fused pass
_SMALLEST = 8192  # codes below which plain products are quicker

Keep = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int], None]  # as ``popcount_triton.keep_near``


def check_device(device: str) -> None:
    """Refuses devices that are not there.

    Raises:
        UsageError: It is neither the CPU nor a CUDA device of this machine.
    """
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise UsageError(f"device is {device!r}; choose cpu, cuda or cuda:<number>")
    found = torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) >= found:
        raise UsageError(f"device is {device!r}, but torch finds {found} CUDA devices; choose cpu or mend the driver")


def codes_on(device: str, backend: str) -> Codes:
    """Codes that lie on a device.

    Args:
        device: As torch names it.
        backend: ``triton`` for the fused pass, ``torch`` for plain products.
    """
    if backend == "torch":
        return DeviceCodes(device)
    from fico.search.popcount_triton import keep_near

    return DeviceCodes(device, keep_near)


class DeviceCodes:
    """Codes on a device, a byte for each bit, since tensor cores multiply bytes.

    Args:
        device: As torch names it.
        keep: The fused pass. None: plain products.
        smallest: Codes from which the fused pass is used.
    """

    def __init__(self, device: str, keep: Keep | None = None, smallest: int = _SMALLEST) -> None:
        self.device, self._keep, self._smallest = device, keep, smallest
        self._added: list[np.ndarray] = []
        self._signs: Tensor | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed codes, and of their signs on the device."""
        packed = sum(codes.nbytes for codes in self._added)
        return packed + (0 if self._signs is None else self._signs.numel())

    def add(self, codes: np.ndarray) -> None:
        """Takes rows of bytes."""
        self._added.append(codes)
        self._signs = None

    def rows(self) -> np.ndarray:
        """All codes as rows of bytes."""
        if len(self._added) > 1:
            self._added = [np.concatenate(self._added)]
        return self._added[0]

    def search(self, queries: np.ndarray, k: int) -> Ranking:
        """The k nearest codes of each query (rows of bytes), ties by lowest id."""
        if self._keep is None or len(self.rows()) < self._smallest or sampled_place(k) * 2 * STRIDE > len(self.rows()):
            return self._by_products(queries, k)
        parts = [self._by_limits(queries[at : at + _TILE], k, self._keep) for at in range(0, len(queries), _TILE)]
        return Ranking(np.concatenate([p.scores for p in parts]), np.concatenate([p.indices for p in parts]))

    def _by_limits(self, queries: np.ndarray, k: int, keep: Keep) -> Ranking:
        signs, items = self._on_device(queries), self._items()
        bits = 8 * queries.shape[1]
        # A product counts bits twice: bits - 2 * distance.
        sample = scores(signs.float(), items[::STRIDE].float(), "inner")
        limits = sample.topk(sampled_place(k), dim=1, sorted=False).values.amin(dim=1).to(torch.int32)
        room = 8 * k + 1024
        hits = torch.full((len(queries), room), torch.iinfo(torch.int64).max, dtype=torch.int64, device=self.device)
        counts = torch.zeros(len(queries), dtype=torch.int32, device=self.device)
        keep(signs, items, limits, counts, hits, bits)
        best = hits.sort(dim=1).values[:, :k].cpu().numpy()
        found = Ranking(-(best >> ID_BITS).astype(np.int32), best & ((1 << ID_BITS) - 1))
        amiss = ((counts < k) | (counts > room)).cpu().numpy()
        if amiss.any():
            again = self._by_products(queries[amiss], k)
            found.scores[amiss], found.indices[amiss] = again.scores, again.indices
        return found

    def _by_products(self, queries: np.ndarray, k: int) -> Ranking:
        """Plain products by blocks; the oracle of the fused pass."""
        items, length = self._items(), len(self.rows())
        width = min(length, max(k, 2**18))
        height = max(1, _PAIRS // width)
        bits = 8 * queries.shape[1]
        parts = []
        for at in range(0, len(queries), height):
            left = self._on_device(queries[at : at + height])[:, :bits].float()
            best: Ranking | None = None
            for start in range(0, length, width):
                right = items[start : min(start + width, length), :bits].float()
                found = top_k(scores(left, right, "hamming"), min(k, len(right)), start)
                best = found if best is None else merge([best, found], k)
            assert best is not None
            parts.append(best)
        return Ranking(
            np.concatenate([p.scores for p in parts]).astype(np.int32), np.concatenate([p.indices for p in parts])
        )

    def _items(self) -> Tensor:
        if self._signs is None:
            self._signs = self._on_device(self.rows())
        return self._signs

    def _on_device(self, codes: np.ndarray) -> Tensor:
        """Signs as bytes; columns filled up with zeros, which add nothing to a product, to a power of 2 or 64s."""
        bits = 8 * codes.shape[1]
        columns = max(32, 1 << (bits - 1).bit_length()) if bits < 64 else -(-bits // 64) * 64
        signs = torch.zeros(len(codes), columns, dtype=torch.int8, device=self.device)
        for at in range(0, len(codes), 2**18):
            block = unpack_codes(codes[at : at + 2**18]).astype(np.int8)
            signs[at : at + len(block), :bits] = torch.from_numpy(block).to(self.device)
        return signs
