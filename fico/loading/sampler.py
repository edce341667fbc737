"""Samplers for several processes: of the shuffled pairs of a training, and of the whole batches of an evaluation."""

from collections.abc import Iterator

from torch.utils.data import DistributedSampler, Sampler

from fico.loading.batches import CaptionPairs, PairSample


class ShuffledPairs(DistributedSampler[PairSample]):
    """torch's distributed sampler, which tells the pairs too of which epoch they are.

    Args:
        pairs: To shuffle.
        rank: Rank of this process, from 0.
        world_size: Number of processes; with several, the rows that do not go round are left out.
    """

    def __init__(self, pairs: CaptionPairs, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(pairs, world_size, rank, shuffle=True, seed=pairs.seed, drop_last=world_size > 1)
        self._pairs = pairs

    def set_epoch(self, epoch: int) -> None:
        """Called before the epoch's first batch, and before any process that reads rows starts."""
        super().set_epoch(epoch)
        self._pairs.epoch = epoch


class ShardedBatchSampler(Sampler[list[int]]):
    """Batches in file order, sharded whole: rank ``r`` of ``w`` takes batches ``r, r + w, r + 2 w, ...``.

    The batches are the same for any number of processes, so the embeddings are equal to the last bit. The usual
    distributed sampler pads the data set by repeating rows, which the metrics would count twice.

    Args:
        dataset_len: Number of samples.
        batch_size: Samples per batch; the last batch may have fewer.
        rank: Rank of this process, from 0.
        world_size: Number of processes. A rank beyond the last batch gets none.

    Raises:
        ValueError: ``batch_size`` or ``world_size`` is below 1, or ``rank`` is not below ``world_size``.
    """

    def __init__(self, dataset_len: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if batch_size < 1 or world_size < 1 or not 0 <= rank < world_size:
            raise ValueError(
                f"got batch_size {batch_size}, rank {rank}, world_size {world_size}; "
                "sizes start at 1 and rank is below world_size"
            )
        self.dataset_len = dataset_len
        self.batch_size = batch_size
        self.starts = range(rank * batch_size, dataset_len, world_size * batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in self.starts:
            yield list(range(start, min(start + self.batch_size, self.dataset_len)))

    def __len__(self) -> int:
        return len(self.starts)
