"""The splits of a data set as Lightning's loaders."""

import pytorch_lightning as L

from fico.datasets.base import RetrievalSplit
from fico.errors import UsageError
from fico.experiment.loader import Loader
from fico.features import ModelInputs
from fico.features.base import ReadRows, SplitInputs
from fico.loading.batches import CaptionPairs, CopiedGroups, ImageGroups, collate
from fico.loading.sampler import ShardedBatchSampler, ShuffledPairs
from fico.types import PairBatch
from fico.util.resources import cores


class RetrievalDataModule(L.LightningDataModule):
    """Caption pairs to train on, images with all their captions to evaluate on.

    Args:
        splits: The splits of the run by name; ``train`` and ``val`` only where they are used.
        inputs: Features of the same splits.
        test_split: Name of the split that is tested.
        batch_size: Caption pairs per training batch and process.
        seed: Seed of the shuffling, and of what varies images in training.
        copies: How often the tested split is encoded, where it is not evaluated: every row of a copy has an id of its
            own. None: once.
        workers: Processes that load rows; 0 loads in the training process. None: one per core, 8 at most, where each
            row is read from a file, else 0.
        evaluation_batch: Images of an evaluation batch, each with all of its captions; at most an eighth of a split.
        pin_memory: Whether batches are put into page-locked memory, from which a GPU copies faster. None: where there
            is a GPU.

    Differs:
        Lightning's distributed sampler repeats samples until the shards are equal, which spoils recall. Here whole
        batches are sharded and none is repeated, so that any number of processes encodes the same batches.
    """

    LEAST_BATCHES = 8  # of an evaluation, so that as many processes have one each
    MOST_WORKERS = 8
    EVALUATION_BATCH = 64

    def __init__(
        self,
        splits: dict[str, RetrievalSplit],
        inputs: ModelInputs,
        *,
        test_split: str,
        batch_size: int,
        seed: int,
        copies: int | None = None,
        workers: int | None = None,
        evaluation_batch: int = EVALUATION_BATCH,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        self.splits = splits
        self.inputs = inputs
        self.test_split = test_split
        self.batch_size = batch_size
        self.seed = seed
        self.copies = copies
        self.workers = workers
        self.evaluation_batch = evaluation_batch
        self.pin_memory = pin_memory
        self.encoded_batches = 0
        """First batches of this process that its test leaves out, as a killed process encoded them; never the last."""

    def evaluated_split(self, trainer: L.Trainer) -> RetrievalSplit:
        """The split that the running loop encodes."""
        return self.splits[self.test_split if trainer.testing else "val"]

    def train_dataloader(self) -> Loader:
        """Shuffled caption pairs; an incomplete last batch is dropped unless it is the only one."""
        pairs = CaptionPairs(self.splits["train"], self.inputs.splits["train"], self.seed)
        sampler = ShuffledPairs(pairs, self._rank, self._world_size)
        return Loader(
            pairs,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=len(sampler) >= self.batch_size,
            collate_fn=collate,
            num_workers=self._workers(pairs.inputs),
            pin_memory=self._pins,
        )

    def val_dataloader(self) -> Loader:
        """Images of the validation split with all their captions."""
        return self._evaluation(self._groups("val"))

    def test_dataloader(self) -> Loader:
        """Images of the tested split with all their captions, as often as there are copies."""
        groups = self._groups(self.test_split)
        return self._evaluation(
            groups if self.copies is None else CopiedGroups(groups, self.copies), self.encoded_batches
        )

    def bank_dataloader(self) -> Loader:
        """Images of the training split with all their captions, in order; the same in every process."""
        groups = self._groups("train")
        return self._loader(groups, ShardedBatchSampler(len(groups), self.evaluation_batch))

    def copies_dataloader(self, copies: int) -> Loader:
        """Images of the tested split with all their captions, ``copies`` times, in order; the same in every process."""
        groups = CopiedGroups(self._groups(self.test_split), copies)
        most = max(self.EVALUATION_BATCH, len(groups) // self.LEAST_BATCHES)
        return self._loader(groups, ShardedBatchSampler(len(groups), min(self.evaluation_batch, most)))

    def longest_batch(self, images: int) -> PairBatch:
        """An evaluation batch of the tested split of those images whose captions have the most words together."""
        groups = self._groups(self.test_split)
        tokens = self.splits[self.test_split].tokens
        words = [sum(len(tokens[row]) for row in rows) for rows in groups.text_rows]
        order = sorted(range(len(groups)), key=lambda row: -words[row])
        return collate([groups[order[row % len(order)]] for row in range(images)])

    def _groups(self, name: str) -> ImageGroups:
        return ImageGroups(self.splits[name], self.inputs.splits[name])

    def _evaluation(self, groups: ImageGroups | CopiedGroups, encoded: int = 0) -> Loader:
        images = max(1, min(self.evaluation_batch, len(groups) // self.LEAST_BATCHES))
        if len(groups) < images * self._world_size:  # Lightning skips the epoch's end on a rank without a batch
            raise UsageError(
                f"{self._world_size} processes cannot share the {len(groups)} images of split {groups.name}; use fewer "
                "devices"
            )
        sampler = ShardedBatchSampler(len(groups), images, self._rank, self._world_size)
        sampler.starts = sampler.starts[encoded:]
        return self._loader(groups, sampler)

    def _loader(self, groups: ImageGroups | CopiedGroups, sampler: ShardedBatchSampler) -> Loader:
        workers = self._workers(groups.inputs)
        return Loader(groups, batch_sampler=sampler, collate_fn=collate, num_workers=workers, pin_memory=self._pins)

    def _workers(self, inputs: SplitInputs) -> int:
        if self.workers is not None:
            return self.workers
        is_lazy = isinstance(inputs.images, ReadRows) and inputs.images.is_lazy
        return min(cores(), self.MOST_WORKERS) if is_lazy else 0

    @property
    def _pins(self) -> bool:
        if self.pin_memory is not None or self.trainer is None:
            return bool(self.pin_memory)
        return bool(self.trainer.strategy.root_device.type == "cuda")

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1
