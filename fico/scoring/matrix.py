"""The score matrix of a pair scorer, computed in tiles, in memory or in a resumable file.

Attention between all pairs would not fit into memory, so it is computed for one tile of images by captions at a time.
Captions are sorted by length first, so that a tile holds little padding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fico.protocols import PairScorer
from fico.scoring.host_copies import on_host
from fico.scoring.score_file import ScoreFile, rank_path, score_key, scoring_device
from fico.types import EncodedBatch
from fico.util.atomic import atomic_write
from fico.util.processes import gather_objects, rank_and_world_size
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
    keep_journal: bool = False,
    progress: bool = True,
) -> Float[np.ndarray, "images texts"]:
    """Score all pairs.

    A score does not depend on the tile but for rounding: a matrix product of another shape may add in another
    order. Tile sizes change scores by less than 1e-6 relative to the largest; the same tiles on the same machine
    give the same bits, also after a kill and a resume, or when several processes score shards of the image tiles. Under
    `torch.autocast` the scorer computes in mixed precision.

    Args:
        scorer: Has ``score(images, texts, lengths)``; a module computes on the device of its parameters, in its
            current mode.
        encoded: Vectors of both sides with ``text_lengths``; without lengths every text has full width.
        image_tile: Images per tile; default 16 on a CPU, 128 on a GPU.
        text_tile: Captions per tile; default 32 on a CPU, 128 on a GPU.
        path: Write to this ``.npy`` through a memory map. Until it is complete it is ``<path>.part`` with the list of
            finished tiles in ``<path>.journal``, and the same call resumes where a killed one stopped. Each of several
            processes has such files of its shard, ``<path>.<rank>of<processes>``; the first writes the whole.
        keep_journal: Leave the journals to the caller, so that the same call finds complete scores too, and replace a
            part of other scores.
        progress: Show a progress bar on standard error if it takes longer than two seconds.

    Returns:
        Scores in the dtype of the embeddings, higher is nearer; with ``path`` a read-only memory map of the file.

    Raises:
        ValueError: A tile size is below 1.
        DataError: ``path`` holds a part of another matrix (other embeddings, weights, settings or tile sizes), and
            ``keep_journal`` is not set.
    """
    device = scoring_device(scorer, encoded)
    default = _tile(device)
    size = (default[0] if image_tile is None else image_tile, default[1] if text_tile is None else text_tile)
    if min(size) < 1:
        raise ValueError(f"tiles hold at least one image and one caption, got {size[0]} and {size[1]}")
    tiling = _Tiling(encoded, device, *size)
    shape = (len(encoded.images), len(encoded.texts))
    dtype = torch.empty(0, dtype=encoded.images.dtype).numpy().dtype
    rank, processes = rank_and_world_size()
    own = tiling.shard(rank, processes)
    score = partial(_score, scorer, tiling, shape, progress=progress and rank == 0)
    if path is None:
        scores = np.empty(shape, dtype)
        score(own, lambda tile, values: scores.__setitem__(tiling.cells(tile), values))
        return scores if processes == 1 else _gathered(scores[tiling.image_rows(own)], path)
    key, of_rank = score_key(scorer, encoded, device.type, size), rank_path(Path(path), rank, processes)
    with ScoreFile(of_rank, shape, dtype, key, tiling.cells, is_kept=keep_journal) as file:
        score([tile for tile in own if tile not in file.done], file.write)
    if processes == 1:
        return file.finish()
    whole = _gathered(file.scores[tiling.image_rows(own)], path)
    file.drop()
    return whole


def repeat_scoring(scorer: PairScorer, encoded: EncodedBatch, times: int) -> None:
    """Score all pairs so many times and keep no score: the work of several copies of the rows, to be timed.

    Args:
        scorer: As of `score_matrix`.
        encoded: The same.
        times: At least 1; a progress bar counts all of them.
    """
    device = scoring_device(scorer, encoded)
    tiling = _Tiling(encoded, device, *_tile(device))
    shape = (times * len(encoded.images), len(encoded.texts))
    _score(scorer, tiling, shape, range(times * len(tiling)), lambda tile, scores: None, progress=True)


def _tile(device: torch.device) -> tuple[int, int]:
    return _TILES.get(device.type, _TILES["cuda"])


def _gathered(shard: Float[np.ndarray, "shard texts"], path: Path | str | None) -> Float[np.ndarray, "images texts"]:
    """The whole matrix from the shards of all processes."""
    scores = np.concatenate(gather_objects(shard))
    if path is not None and rank_and_world_size()[0] == 0:
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as stream:
            np.save(stream, scores)
    return scores


def _score(
    scorer: PairScorer,
    tiling: "_Tiling",
    shape: tuple[int, int],
    tiles: Sequence[int],
    write: Callable[[int, np.ndarray], None],
    *,
    progress: bool,
) -> None:
    """Score the numbered tiles."""

    def of_tile(tile: int) -> Tensor:
        rows, texts = tiling.at(tile)
        return scorer.score(tiling.images(rows), texts.vectors, texts.lengths).to(tiling.dtype)

    shown = track(tiles, len(tiles), f"scoring {shape[0]} x {shape[1]} pairs", is_shown=progress)
    with torch.inference_mode():
        for tile, scores in on_host((tile, of_tile(tile)) for tile in shown):
            write(tile, scores)


@dataclass(frozen=True, slots=True, eq=False)
class _TextTile:
    rows: Int64[np.ndarray, " tile"]
    vectors: Float[Tensor, "tile words dim"]
    lengths: Int64[Tensor, " tile"] | None


class _Tiling:
    """Tiles of both sides. Images are moved to the device tile by tile, captions once, without their padding."""

    def __init__(self, encoded: EncodedBatch, device: torch.device, image_tile: int, text_tile: int) -> None:
        self._images, self._device = encoded.images, device
        self.dtype = encoded.images.dtype
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

    def __len__(self) -> int:
        return len(self._rows) * len(self._texts)

    def shard(self, rank: int, processes: int) -> range:
        """Numbers of the tiles of a process: all of successive image tiles, whose numbers follow each other."""
        first, last = (len(self._rows) * n // processes for n in (rank, rank + 1))
        return range(first * len(self._texts), last * len(self._texts))

    def image_rows(self, tiles: range) -> slice:
        """Rows of the image tiles of a shard."""
        numbers = sorted({tile // len(self._texts) for tile in tiles})
        return slice(self._rows[numbers[0]].start, self._rows[numbers[-1]].stop) if numbers else slice(0, 0)

    def at(self, tile: int) -> tuple[slice, _TextTile]:
        """A tile; behind the last one they begin again."""
        row, column = divmod(tile % len(self), len(self._texts))
        return self._rows[row], self._texts[column]

    def cells(self, tile: int) -> tuple[slice, Int64[np.ndarray, " tile"]]:
        """Rows and columns of a tile in the matrix."""
        rows, texts = self.at(tile)
        return rows, texts.rows

    def images(self, rows: slice) -> Float[Tensor, "tile regions dim"]:
        return self._images[rows].to(self._device)
