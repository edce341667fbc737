"""Scores of every image with every caption by a pair scorer, in tiles, in memory or into a file that resumes.

Attention between all pairs would not fit into memory, so it exists for one tile of images by captions at a time.
Captions are sorted by length first, so that a tile holds little padding.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fico.protocols import PairScorer
from fico.scoring.score_file import ScoresFile, content_key
from fico.types import EncodedBatch
from fico.util.progress import track

# On a CPU the attention of a tile should stay in its cache; a GPU wants work for all of its cores.
_TILES = {"cpu": (16, 32), "cuda": (128, 128)}


def score_matrix(
    scorer: PairScorer,
    encoded: EncodedBatch,
    *,
    image_tile: int | None = None,
    text_tile: int | None = None,
    path: Path | str | None = None,
    mixed_precision: bool = False,
    progress: bool = True,
) -> Float[np.ndarray, "images texts"]:
    """Score all pairs.

    A score does not depend on the tile but for rounding: a matrix product of another shape may add in another
    order. Tile sizes change scores by less than 1e-6 relative to the largest; the same tiles on the same machine
    give the same bits, also after a kill and a resume.

    Args:
        scorer: Has ``score(images, texts, lengths)``; a module computes where its parameters lie, in the mode that
            it is in.
        encoded: Vectors of both sides with ``text_lengths``; without lengths every text is as long as it is wide.
        image_tile: Images per tile; default 16 on a CPU, 128 on a GPU.
        text_tile: Captions per tile; default 32 on a CPU, 128 on a GPU.
        path: Write to this ``.npy`` through a memory map. Until it is finished it is ``<path>.part``, beside it
            ``<path>.journal`` says which tiles are done, and the same call goes on where a killed one stopped.
        mixed_precision: Matrix products in bfloat16: about three right digits, for GPUs that are short of time.
        progress: Show a bar with an estimate on standard error if it takes longer than two seconds.

    Returns:
        Scores in the dtype of the embeddings, higher is nearer; with ``path`` a read-only memory map of the file.

    Raises:
        ValueError: A tile size is below 1.
        DataError: ``path`` holds a part of another matrix (other embeddings, weights, settings or tile sizes).
    """
    device = _device(scorer, encoded)
    default = _TILES.get(device.type, _TILES["cuda"])
    size = (default[0] if image_tile is None else image_tile, default[1] if text_tile is None else text_tile)
    if min(size) < 1:
        raise ValueError(f"tiles hold at least one image and one caption, got {size[0]} and {size[1]}")
    shape = (len(encoded.images), len(encoded.texts))
    compute: AbstractContextManager[object] = (
        torch.autocast(device.type, dtype=torch.bfloat16) if mixed_precision else nullcontext()
    )
    tiling = _Tiling(encoded, device, *size)
    dtype = torch.empty(0, dtype=encoded.images.dtype).numpy().dtype
    file = None
    if path is not None:
        key = content_key(scorer, encoded, device.type, size, mixed_precision)
        file = ScoresFile(Path(path), shape, dtype, key)
    scores = np.empty(shape, dtype) if file is None else file.scores
    done = set() if file is None else file.done
    tiles = [tile for tile in tiling.numbers() if tile not in done]
    with torch.inference_mode(), compute, nullcontext() if file is None else file:
        for tile in track(tiles, len(tiles), f"scoring {shape[0]} x {shape[1]} pairs", is_shown=progress):
            rows, texts = tiling.at(tile)
            found = scorer.score(tiling.images(rows), texts.vectors, texts.lengths)
            scores[rows, texts.rows] = found.to(encoded.images.dtype).cpu().numpy()
            if file is not None:
                file.mark(tile)
    return scores if file is None else file.finish()


@dataclass(frozen=True, slots=True, eq=False)
class _TextTile:
    rows: Int64[np.ndarray, " tile"]
    vectors: Float[Tensor, "tile words dim"]
    lengths: Int64[Tensor, " tile"] | None


class _Tiling:
    """Cuts both sides. Images are moved to the device tile by tile, captions once, without their padding."""

    def __init__(self, encoded: EncodedBatch, device: torch.device, image_tile: int, text_tile: int) -> None:
        self._images, self._device = encoded.images, device
        count = len(encoded.images)
        self._rows = [slice(at, min(at + image_tile, count)) for at in range(0, count, image_tile)]
        lengths = encoded.text_lengths
        order = torch.arange(len(encoded.texts)) if lengths is None else lengths.cpu().argsort(stable=True)
        self._texts = [self._text_tile(encoded, rows) for rows in order.split(text_tile)]

    def _text_tile(self, encoded: EncodedBatch, rows: Tensor) -> _TextTile:
        if encoded.text_lengths is None:
            return _TextTile(rows.numpy(), encoded.texts[rows].to(self._device), None)
        lengths = encoded.text_lengths.cpu()[rows]
        vectors = encoded.texts[rows.to(encoded.texts.device)]
        if vectors.ndim > 2:  # one vector per word
            vectors = vectors[:, : int(lengths.max())]
        return _TextTile(rows.numpy(), vectors.to(self._device), lengths.to(self._device))

    def numbers(self) -> Iterator[int]:
        """Number of every tile; all captions of an image tile follow one another."""
        return iter(range(len(self._rows) * len(self._texts)))

    def at(self, tile: int) -> tuple[slice, _TextTile]:
        row, column = divmod(tile, len(self._texts))
        return self._rows[row], self._texts[column]

    def images(self, rows: slice) -> Float[Tensor, "tile regions dim"]:
        return self._images[rows].to(self._device)


def _device(scorer: PairScorer, encoded: EncodedBatch) -> torch.device:
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return encoded.images.device if parameter is None else parameter.device
