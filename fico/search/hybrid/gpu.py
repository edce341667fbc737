"""The GPU path of the coarse-to-fine search: all codes are scanned, and floats order the candidates."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fico.codes import HashCodes
from fico.search.gpu.device import packed_signs, require_device_memory
from fico.search.gpu.gather import gathered
from fico.search.gpu.to_host import Tile, to_host
from fico.search.hamming.gpu import codes_on
from fico.search.hamming.layout import GPU_ID_BITS
from fico.search.hybrid.stored_rows import RowType, StoredRows
from fico.search.index_file import Arrays, Settings
from fico.types import Ranking

_TYPES = {"float32": torch.float32, "float16": torch.float16}
_ROWS = 65_536


class HybridOnDevice:
    """What `fico.HybridSearch` does where its items lie on a GPU.

    Args:
        device: As torch names it.
        metric: ``cosine``, ``inner`` or ``euclidean``.
        kind: How floats are kept: ``float32`` or ``float16``.
        projection: ITQ's matrix ``bits dim`` and its offset.
    """

    def __init__(self, device: str, metric: str, kind: RowType, projection: tuple[np.ndarray, np.ndarray]) -> None:
        self._device, self._metric, self._kind, self._projection = device, metric, kind, projection
        self._matrix, self._offset = (torch.from_numpy(part).to(device) for part in projection)
        self._codes = codes_on(device)
        self._added: list[Tensor] = []
        self._squares: list[Tensor] = []  # squared length of each row

    @property
    def length(self) -> int:
        """Items."""
        return sum(len(rows) for rows in self._added)

    @property
    def size_bytes(self) -> int:
        """Bytes on the device."""
        held = [*self._added, *self._squares]
        return self._codes.size_bytes + sum(part.numel() * part.element_size() for part in held)

    def clone_empty(self, rows: StoredRows) -> "HybridOnDevice":
        """The same projection without items."""
        return HybridOnDevice(self._device, self._metric, rows.kind, self._projection)

    def _codes_of(self, floats: Tensor) -> HashCodes:
        return HashCodes.from_packed(packed_signs(floats, self._matrix, self._offset), len(self._offset))

    def add(self, floats: Tensor | np.ndarray, codes: HashCodes | None) -> None:
        """Adds rows, from the device or from memory, and their codes where a model made them."""
        parts = []
        rows = torch.empty(floats.shape, dtype=_TYPES[self._kind], device=self._device)
        squares = torch.empty(len(floats), device=self._device)
        for at in range(0, len(floats), _ROWS):
            block = self._moved(floats[at : at + _ROWS])
            rows[at : at + _ROWS], squares[at : at + _ROWS] = block, block.square().sum(dim=1)
            parts.append(self._codes_of(block) if codes is None else codes[at : at + _ROWS])
        self._codes.add(HashCodes.joined(parts))
        self._added.append(rows)
        self._squares.append(squares)

    def rows(self) -> Tensor:
        """All floats.

        Raises:
            UsageError: The device is short of memory to put several blocks together.
        """
        if len(self._added) > 1:
            size = sum(rows.numel() * rows.element_size() for rows in self._added)
            require_device_memory(self._device, size, f"{self.length} items that are put together")
            self._added, self._squares = [torch.cat(self._added)], [torch.cat(self._squares)]
        return self._added[0]

    def prepare(self) -> None:
        """Puts the added items together; after it several threads may search, until items are added."""
        self.rows()
        self._codes.prepare()

    def search(self, queries: Tensor | np.ndarray, codes: HashCodes | None, k: int, candidates: int) -> Ranking:
        """The k best candidates; equal scores by lowest item."""
        return to_host(self._tiles(self._moved(queries), codes, k, candidates), len(queries), k)

    def _moved(self, floats: Tensor | np.ndarray) -> Tensor:
        # A copy of an array: mapped rows are read-only.
        return floats if isinstance(floats, Tensor) else torch.tensor(floats, device=self._device)

    def _tiles(self, queries: Tensor, codes: HashCodes | None, k: int, candidates: int) -> Iterator[Tile]:
        rows = self.rows()
        for part, hits in self._codes.tiles(self._codes_of(queries) if codes is None else codes, candidates):
            # In order of id first: the stable sort keeps it among equal scores.
            items = (hits & ((1 << GPU_ID_BITS) - 1)).sort(dim=1).values
            scores = self._scores(gathered(rows, items, queries[part].contiguous()), items, queries[part])
            values, order = scores.sort(dim=1, descending=True, stable=True)
            yield part, values[:, :k], items.gather(1, order[:, :k])

    def _scores(self, products: Tensor, items: Tensor, queries: Tensor) -> Tensor:
        if self._metric == "inner":
            return products
        squares, lengths = self._squares[0][items], queries.square().sum(dim=1, keepdim=True)
        if self._metric == "cosine":
            return products * squares.clamp(min=1e-24).rsqrt() * lengths.clamp(min=1e-24).rsqrt()
        return -(lengths + squares - 2 * products).clamp(min=0).sqrt()

    def state(self) -> tuple[Settings, Arrays]:
        """What an index file keeps: the same as of items in memory, in one list."""
        rows, codes = self.rows().cpu().numpy(), self._codes.codes()
        squares = self._squares[0].cpu().numpy()
        norms = {"inner": squares[:0], "cosine": 1 / np.sqrt(np.maximum(squares, 1e-24)), "euclidean": squares}
        none = np.empty(0, np.float32)
        settings = {"kind": self._kind, "path": None, "offset": 0, "shape": list(rows.shape)}
        return settings, {
            "rows": rows,
            "step": none,
            "middle": none,
            "words": codes.words,
            "items": np.arange(len(rows)),
            "counts": np.array([len(rows)]),
            "norms": norms[self._metric],
            "centres": np.zeros((1, len(self._offset)), np.float32),
        }

    def restore(self, rows: np.ndarray, arrays: Arrays, bits: int) -> None:
        """Adds the items that ``state``, or that of items in lists, described."""
        words = np.empty_like(arrays["words"])
        words[arrays["items"]] = arrays["words"]
        codes = HashCodes(words, bits)
        for at in range(0, len(rows), _ROWS):
            self.add(rows[at : at + _ROWS].astype(np.float32), codes[at : at + _ROWS])
        norms = torch.from_numpy(arrays["norms"]).to(self._device)  # of the rows before they were narrowed
        if self._metric != "inner":
            self._squares = [norms if self._metric == "euclidean" else norms.pow(-2)]
