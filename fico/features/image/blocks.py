"""The images of splits in blocks, decoded by several threads."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from fico.datasets.base import RetrievalSplit

READERS = 4  # threads that decode images


class ImageBlocks:
    """Blocks of equally many images, in the order of the splits.

    Args:
        splits: By name, in the order of the rows.
        load: Makes the array of one image from its path and its id.
        size: Images of a block.
    """

    def __init__(
        self, splits: Mapping[str, RetrievalSplit], load: Callable[[Path, str], np.ndarray], size: int
    ) -> None:
        self.ids = [item for split in splits.values() for item in split.image_ids]
        self._paths = [path for split in splits.values() for path in split.image_paths]
        self._load, self._size = load, size

    def __len__(self) -> int:
        return -(-len(self.ids) // self._size)

    def read(self, done: int = 0) -> Iterator[tuple[slice, Float32[np.ndarray, "images ..."]]]:
        """Rows of each block and its images, from block ``done`` on."""
        with ThreadPoolExecutor(READERS) as readers:
            for start in range(done * self._size, len(self.ids), self._size):
                rows = slice(start, min(start + self._size, len(self.ids)))
                yield rows, np.stack(list(readers.map(self._load, self._paths[rows], self.ids[rows])))
