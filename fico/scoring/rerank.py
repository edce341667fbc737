"""Re-ranking: a pair scorer orders the k candidates that a cheap first stage found for each query."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64

from fico.embeddings.encode import AutoBatchSize
from fico.errors import UsageError
from fico.protocols import Matcher, PairScorer
from fico.scoring.candidates import Reranked, Rule, candidates
from fico.scoring.host_copies import on_host
from fico.scoring.pair_tiles import PairTiles, check_states, pair_tiles
from fico.scoring.score_file import ScoreFile, rank_path, score_key, scoring_device
from fico.types import EncodedBatch
from fico.util.atomic import atomic_write
from fico.util.processes import gather_objects, rank_and_world_size
from fico.util.progress import track


class Rerank:
    """Scores the ``k`` candidates of each query by a pair scorer and ranks all other items after them.

    Every image and caption is encoded once beforehand; a matcher gets the stored states, a pair scorer the vectors of
    regions and words. A pair that is a candidate in both directions is scored once. Ranks beyond ``k`` mean nothing, so
    `fico.evaluate_scores` marks the metrics of the whole ranking as not applicable. Under `torch.autocast` the scorer
    computes in mixed precision.

    Args:
        scorer: Has ``match(image_states, text_states, lengths)``, or is a pair scorer with ``score(images, texts,
            lengths)``; a module computes on the device of its parameters, in its current mode.
        k: Candidates of each query, from 1; a smaller gallery is scored as a whole. The paper: 128 on Flickr30K, 256 on
            COCO.
        rule: ``itm``: the pair's score alone (X-VLM); ``itm_plus_similarity``: plus its first-stage score (BLIP-2).
        tile: Most pairs scored at once; default of `fico.scoring.pair_tiles`. It changes no score but for rounding.
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
        scorer: Matcher | PairScorer,
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
            encoded: Embeddings of both sides, with ``image_states``, ``text_states`` and ``text_lengths``; of a pair
                scorer its vectors and ``text_lengths``.
            scores: First-stage scores where they are not inner products of embeddings; None computes them.

        Raises:
            DataError: A matcher's states are missing, items have several vectors each and ``scores`` is None, or
                ``path`` holds a part of other scores.
        """
        check_states(self.scorer, encoded)
        first = candidates(encoded.images, encoded.texts, self.k, scores)
        return first.filled(self.score_pairs(encoded, first.pairs), self.rule)

    def score_pairs(self, encoded: EncodedBatch, pairs: Int64[np.ndarray, " pairs"]) -> Float32[np.ndarray, " pairs"]:
        """Score pairs that some first stage chose.

        Args:
            encoded: As for the call.
            pairs: Each as ``image * captions + caption``, ascending.

        Raises:
            DataError: A matcher's states are missing, or ``path`` holds a part of other scores.
        """
        device = scoring_device(self.scorer, encoded)
        tiles = pair_tiles(self.scorer, encoded, pairs, self.tile, device)
        size = tiles.size
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
        tiles: PairTiles,
        numbers: Sequence[int],
        write: Callable[[int, np.ndarray], None],
        *,
        is_shown: bool,
    ) -> None:
        """Score the numbered tiles."""
        score, is_shown = AutoBatchSize(tiles.score), is_shown and self._progress
        shown = track(numbers, len(numbers), "scoring the candidate pairs", is_shown=is_shown)
        with torch.inference_mode():
            scores = ((tile, score(*tiles.arguments(tile)).flatten().float()) for tile in shown)
            for tile, values in on_host(scores):
                write(tile, values)

    def _key(self, encoded: EncodedBatch, pairs: np.ndarray, size: int) -> str:
        """All that the scores depend on."""
        device = scoring_device(self.scorer, encoded).type
        key = hashlib.sha256(pairs.tobytes())
        key.update(score_key(self.scorer, encoded, device, (size, self.k)).encode())
        return key.hexdigest()


def _summed(scores: Float32[np.ndarray, "one pairs"], processes: int) -> Float32[np.ndarray, "one pairs"]:
    """Scores of all processes, each of which has zeros where others scored."""
    return scores if processes == 1 else np.sum(gather_objects(np.asarray(scores)), axis=0)
