"""Re-ranking: a cheap first stage finds the best few items of each query, a pair scorer puts those in order."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from fico.embeddings.encode import Halving
from fico.errors import DataError, UsageError
from fico.protocols import Matcher
from fico.scoring.candidates import Reranked, Rule, candidates
from fico.scoring.score_file import ScoresFile, content_key
from fico.types import EncodedBatch
from fico.util.atomic import atomic_write
from fico.util.progress import track

_TILES = {"cpu": 64, "cuda": 512}  # pairs of one image at once


class Rerank:
    """Scores the ``k`` best items of each query by a pair scorer and leaves all others behind them.

    Every image and caption is encoded once beforehand; the scorer sees the states that were kept. Pairs that both
    directions ask for are scored once. Rankings beyond ``k`` mean nothing, so `fico.evaluate_scores` marks the metrics
    of the whole list as not applicable.

    Args:
        scorer: Has ``match(image_states, text_states, lengths)``; a module computes where its parameters lie, in the
            mode that it is in.
        k: Candidates of each query, from 1; a smaller gallery is scored as a whole. The paper has 128 on Flickr30K and
            256 on COCO.
        rule: ``itm``: the pair's score alone (X-VLM); ``itm_plus_similarity``: plus its first-stage score (BLIP-2).
        tile: Pairs scored at once; default 64 on a CPU, 512 on a GPU. A score does not depend on it but for rounding.
        path: Keep the pairs' scores in this ``.npy`` while they are made, so that the same call goes on where a killed
            one stopped; see `fico.scoring.matrix.score_matrix`.
        progress: Show a bar with an estimate on standard error if it takes longer than two seconds.

    Raises:
        UsageError: ``k`` or ``tile`` is below 1, or there is no such rule.

    Differs:
        With several processes the originals add their matrices up, so that the fill becomes -100 times their number;
        here it stays -100.
    """

    def __init__(
        self,
        scorer: Matcher,
        k: int,
        *,
        rule: Rule = "itm",
        tile: int | None = None,
        path: Path | str | None = None,
        progress: bool = True,
    ) -> None:
        if k < 1 or (tile is not None and tile < 1):
            raise UsageError(f"k is {k} and tile {tile}; both start at 1")
        if rule not in get_args(Rule):
            raise UsageError(f"rule is {rule!r}; choose one of {', '.join(get_args(Rule))}")
        self.scorer, self.k, self.rule, self.tile = scorer, k, rule, tile
        self._path = None if path is None else Path(path)
        self._progress = progress

    def __call__(self, encoded: EncodedBatch, scores: Float[np.ndarray, "images captions"] | None = None) -> Reranked:
        """Re-rank both directions.

        Args:
            encoded: Embeddings of both sides, with ``image_states``, ``text_states`` and ``text_lengths``.
            scores: Of a first stage that is no inner product of embeddings; None takes those of ``encoded``.

        Raises:
            DataError: The states are missing, the embeddings are no single vectors and no scores are given, or ``path``
                holds a part of another work.
        """
        if encoded.image_states is None or encoded.text_states is None:
            raise DataError("there are no states to score pairs with; encode with a module that hands them out")
        first = candidates(encoded.images, encoded.texts, self.k, scores)
        return first.filled(self._scored(encoded, first.pairs), self.rule)

    def _scored(self, encoded: EncodedBatch, pairs: Int64[np.ndarray, " pairs"]) -> Float32[np.ndarray, " pairs"]:
        """Score of each pair ``image * captions + caption``."""
        device = _device(self.scorer, encoded)
        size = self.tile or _TILES.get(device.type, _TILES["cuda"])
        work = _Pairs(encoded, pairs, size, device)
        rank, processes = _share()
        file = self._file(encoded, pairs, device, size) if processes == 1 else None
        scores = np.zeros((1, len(pairs)), np.float32) if file is None else file.scores
        done = set() if file is None else file.done
        tiles = [tile for tile in range(rank, len(work), processes) if tile not in done]
        match = Halving(self.scorer.match)
        told = f"scoring {len(pairs)} pairs"
        with torch.inference_mode(), nullcontext() if file is None else file:
            for tile in track(tiles, len(tiles), told, is_shown=self._progress and rank == 0):
                places, states = work.at(tile)
                scores[0, places] = match(*states).float().cpu().numpy()
                if file is not None:
                    file.mark(tile)
        if file is not None:
            scores = file.finish()
        elif processes > 1:
            scores = _summed(scores, processes)
        if file is None and self._path is not None and rank == 0:
            with atomic_write(self._path) as temporary, temporary.open("wb") as stream:
                np.save(stream, scores)
        found: np.ndarray = scores[0]
        return found

    def _file(self, encoded: EncodedBatch, pairs: np.ndarray, device: torch.device, size: int) -> ScoresFile | None:
        """The file in which scores survive a kill, named by all that they depend on."""
        if self._path is None:
            return None
        key = hashlib.sha256(pairs.tobytes())
        key.update(content_key(self.scorer, encoded, device.type, (size, self.k), mixed_precision=False).encode())
        return ScoresFile(self._path, (1, len(pairs)), np.dtype(np.float32), key.hexdigest())


class _Pairs:
    """Cuts pairs into tiles of one image each, its captions by length, so that a tile holds little padding."""

    def __init__(
        self, encoded: EncodedBatch, pairs: Int64[np.ndarray, " pairs"], size: int, device: torch.device
    ) -> None:
        assert encoded.image_states is not None
        assert encoded.text_states is not None
        self._device = device
        self._images = encoded.image_states
        self._texts = _near(encoded.text_states, device)
        width = encoded.text_states.shape[1]
        lengths = torch.full((len(self._texts),), width) if encoded.text_lengths is None else encoded.text_lengths.cpu()
        self._lengths = lengths
        image, self._text = np.divmod(pairs, len(self._texts))
        self._order = np.lexsort((lengths.numpy()[self._text], image))
        self._tiles = list(_tiles(image, size))

    def __len__(self) -> int:
        return len(self._tiles)

    def at(self, tile: int) -> tuple[Int64[np.ndarray, " tile"], tuple[Tensor, Tensor, Tensor]]:
        """Places of the tile's pairs, and what `Matcher.match` takes."""
        image, places = self._tiles[tile][0], self._order[self._tiles[tile][1]]
        rows = torch.from_numpy(self._text[places])
        lengths = self._lengths[rows]
        texts = self._texts[rows.to(self._texts.device), : int(lengths.max())].to(self._device)
        states = self._images[image : image + 1].to(self._device)
        shared = states.expand(len(rows), *states.shape[1:])  # one memory for all pairs, as `Matcher` says
        return places, (shared, texts, lengths.to(self._device))


def _tiles(image: Int64[np.ndarray, " pairs"], size: int) -> Iterator[tuple[int, slice]]:
    """Image and places of each tile; ``image`` is sorted."""
    numbers, starts, counts = np.unique(image, return_index=True, return_counts=True)
    for number, start, count in zip(numbers.tolist(), starts.tolist(), counts.tolist(), strict=True):
        for at in range(start, start + count, size):
            yield number, slice(at, min(at + size, start + count))


def _near(values: Tensor, device: torch.device) -> Tensor:
    """On the GPU where it takes at most half of what is free there; every caption is read about k times."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.numel() * values.element_size() <= free // 2 else values


def _share() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def _summed(scores: np.ndarray, processes: int) -> np.ndarray:
    """The shares of all processes; each has zeros where others scored."""
    shares: list[Any] = [None] * processes
    dist.all_gather_object(shares, scores)
    total: np.ndarray = np.sum(shares, axis=0)
    return total


def _device(scorer: Matcher, encoded: EncodedBatch) -> torch.device:
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return encoded.images.device if parameter is None else parameter.device
