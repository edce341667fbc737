"""The sampler for several processes: shards an evaluation's batches over them without repeating a row."""

from collections.abc import Iterator

from torch.utils.data import Sampler


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
