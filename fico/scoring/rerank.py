"""Re-ranking: a pair scorer orders the k candidates that a cheap first stage found for each query."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from fico.embeddings.encode import AutoBatchSize
from fico.errors import DataError, UsageError
from fico.protocols import Matcher
from fico.scoring.candidates import Reranked, Rule, candidates
from fico.scoring.score_file import ScoreFile, rank_path, score_key, scoring_device
from fico.scoring.shards import gather_parts, rank_and_world_size
from fico.types import EncodedBatch
from fico.util.atomic import atomic_write
from fico.util.progress import track

_TILES = {"cpu": 64, "cuda": 512}  # pairs of one image scored at once


class Rerank:
    """Scores the ``k`` candidates of each query by a pair scorer and ranks all other items after them.

    Every image and caption is encoded once beforehand; the scorer gets the stored states. A pair that is a candidate in
    both directions is scored once. Ranks beyond ``k`` mean nothing, so `fico.evaluate_scores` marks the metrics of the
    whole ranking as not applicable. Under `torch.autocast` the scorer computes in mixed precision.

    Args:
        scorer: Has ``match(image_states, text_states, lengths)``; a module computes on the device of its
            parameters, in its current mode.
        k: Candidates of each query, from 1; a smaller gallery is scored as a whole. The paper: 128 on Flickr30K, 256 on
            COCO.
        rule: ``itm``: the pair's score alone (X-VLM); ``itm_plus_similarity``: plus its first-stage score (BLIP-2).
        tile: Pairs scored at once; default 64 on a CPU, 512 on a GPU. A score does not depend on it but for rounding.
        path: Write the pairs' scores to this ``.npy``, so that the same call resumes where a killed one stopped; see
            `fico.scoring.matrix.score_matrix`, for ``keep_journal`` too.
        progress: Show a progress bar on standard error if it takes longer than two seconds.

    Raises:
        UsageError: ``k`` or ``tile`` is below 1, or there is no such rule.

    Differs:
        With several processes the originals sum their matrices, so that the fill becomes -100 times their number; here
        it stays -100.
    """

    def __init__(
        self,
        scorer: Matcher,
        k: int,
        *,
        rule: Rule = "itm",
        tile: int | None = None,
        path: Path | str | None = None,
        keep_journal: bool = False,
        progress: bool = True,
    ) -> None:
        if k < 1 or (tile is not None and tile < 1):
            raise UsageError(f"k is {k} and tile {tile}; both start at 1")
        if rule not in get_args(Rule):
            raise UsageError(f"rule is {rule!r}; choose one of {', '.join(get_args(Rule))}")
        self.scorer, self.k, self.rule, self.tile = scorer, k, rule, tile
        self._path = None if path is None else Path(path)
        self._keep_journal, self._progress = keep_journal, progress

    def __call__(self, encoded: EncodedBatch, scores: Float[np.ndarray, "images captions"] | None = None) -> Reranked:
        """Re-rank both directions.

        Args:
            encoded: Embeddings of both sides, with ``image_states``, ``text_states`` and ``text_lengths``.
            scores: First-stage scores where they are not inner products of embeddings; None computes them.

        Raises:
            DataError: The states are missing, items have several vectors each and ``scores`` is None, or ``path``
                holds a part of other scores.
        """
        if encoded.image_states is None or encoded.text_states is None:
            raise DataError("there are no states to score pairs with; encode with image_states and text_states")
        first = candidates(encoded.images, encoded.texts, self.k, scores)
        return first.filled(self._scored(encoded, first.pairs), self.rule)

    def _scored(self, encoded: EncodedBatch, pairs: Int64[np.ndarray, " pairs"]) -> Float32[np.ndarray, " pairs"]:
        """Score of each pair ``image * captions + caption``."""
        device = scoring_device(self.scorer, encoded)
        size = self.tile or _TILES.get(device.type, _TILES["cuda"])
        tiles = _PairTiles(encoded, pairs, size, device)
        rank, processes = rank_and_world_size()
        own, cells = range(rank, len(tiles), processes), tiles.cells
        if self._path is None:
            scores = np.zeros((1, len(pairs)), np.float32)
            self._score(tiles, own, lambda tile, values: scores.__setitem__(cells(tile), values), is_shown=rank == 0)
            whole: np.ndarray = _summed(scores, processes)[0]
            return whole
        path, key = rank_path(self._path, rank, processes), self._key(encoded, pairs, size)
        kind = np.dtype(np.float32)
        with ScoreFile(path, (1, len(pairs)), kind, key, cells, is_kept=self._keep_journal) as file:
            self._score(tiles, [tile for tile in own if tile not in file.done], file.write, is_shown=rank == 0)
        if processes == 1:
            found: np.ndarray = file.finish()[0]
            return found
        gathered = _summed(file.scores, processes)
        file.drop()
        if rank == 0:
            with atomic_write(self._path) as temporary, temporary.open("wb") as stream:
                np.save(stream, gathered)
        pairs_scores: np.ndarray = gathered[0]
        return pairs_scores

    def _score(
        self,
        tiles: "_PairTiles",
        numbers: Sequence[int],
        write: Callable[[int, np.ndarray], None],
        *,
        is_shown: bool,
    ) -> None:
        """Score the numbered tiles."""
        match = AutoBatchSize(self.scorer.match)
        is_shown = is_shown and self._progress
        with torch.inference_mode():
            for tile in track(numbers, len(numbers), "scoring the candidate pairs", is_shown=is_shown):
                write(tile, match(*tiles.states(tile)).float().cpu().numpy())

    def _key(self, encoded: EncodedBatch, pairs: np.ndarray, size: int) -> str:
        """All that the scores depend on."""
        device = scoring_device(self.scorer, encoded).type
        key = hashlib.sha256(pairs.tobytes())
        key.update(score_key(self.scorer, encoded, device, (size, self.k)).encode())
        return key.hexdigest()


class _PairTiles:
    """Pairs in tiles of one image each, its captions sorted by length, so that a tile holds little padding."""

    def __init__(
        self, encoded: EncodedBatch, pairs: Int64[np.ndarray, " pairs"], size: int, device: torch.device
    ) -> None:
        assert encoded.image_states is not None
        assert encoded.text_states is not None
        self._device = device
        self._images = encoded.image_states
        self._texts = _on_device(encoded.text_states, device)
        width = encoded.text_states.shape[1]
        lengths = torch.full((len(self._texts),), width) if encoded.text_lengths is None else encoded.text_lengths.cpu()
        self._lengths = lengths
        image, self._text = np.divmod(pairs, len(self._texts))
        self._order = np.lexsort((lengths.numpy()[self._text], image))
        self._tiles = list(_tiles(image, size))

    def __len__(self) -> int:
        return len(self._tiles)

    def cells(self, tile: int) -> tuple[int, Int64[np.ndarray, " tile"]]:
        """Where the scores of the tile's pairs stand in a matrix of one row."""
        return 0, self._order[self._tiles[tile][1]]

    def states(self, tile: int) -> tuple[Tensor, Tensor, Tensor]:
        """The arguments of `Matcher.match`."""
        image, positions = self._tiles[tile][0], self.cells(tile)[1]
        rows = torch.from_numpy(self._text[positions])
        lengths = self._lengths[rows]
        texts = self._texts[rows.to(self._texts.device), : int(lengths.max())].to(self._device)
        states = self._images[image : image + 1].to(self._device)
        shared = states.expand(len(rows), *states.shape[1:])  # a view, as `Matcher` says
        return shared, texts, lengths.to(self._device)


def _summed(scores: Float32[np.ndarray, "one pairs"], processes: int) -> Float32[np.ndarray, "one pairs"]:
    """Scores of all processes, each of which has zeros where others scored."""
    return scores if processes == 1 else np.sum(gather_parts(np.asarray(scores)), axis=0)


def _tiles(image: Int64[np.ndarray, " pairs"], size: int) -> Iterator[tuple[int, slice]]:
    """Image and positions of each tile; ``image`` is sorted."""
    numbers, starts, counts = np.unique(image, return_index=True, return_counts=True)
    for number, start, count in zip(numbers.tolist(), starts.tolist(), counts.tolist(), strict=True):
        for at in range(start, start + count, size):
            yield number, slice(at, min(at + size, start + count))


def _on_device(values: Tensor, device: torch.device) -> Tensor:
    """Moved to the GPU if that takes at most half of its free memory, as every caption is read about k times."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.numel() * values.element_size() <= free // 2 else values
