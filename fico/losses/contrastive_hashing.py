"""Contrastive hashing loss of UCCH, with its memory bank of one row per training pair."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from fico.networks.blocks.l2_norm import unit_along_axis_1
from fico.util.processes import rank_and_world_size


@dataclass(frozen=True, slots=True, eq=False)
class ContrastiveTerms:
    """Logits over the keys, the positive in column 0, and the loss of each side."""

    image_logits: Float[Tensor, "pairs keys"]
    text_logits: Float[Tensor, "pairs keys"]
    image: Float[Tensor, ""]
    text: Float[Tensor, ""]


class ContrastiveHashing(nn.Module):
    r"""Contrastive loss of image and text codes against binary keys of a memory bank, one key per training pair.

    Keys are :math:`\mathrm{sign}(V)` of rows of the memory bank :math:`V`, not normalised; a logit is
    :math:`\langle key, h\rangle / (T\sqrt{bits})`. The pair's row is the positive, in column 0; then come
    ``negatives`` rows drawn uniformly with replacement from the whole bank; they may repeat, and may be the
    positive, which is not masked. While warming up the keys are the signs of the mean codes of the batch instead.
    Every call then moves the rows of the batch to :math:`d V + (1 - d) m`, with :math:`m` the mean of both codes and
    both sides L2-normalised, and :math:`d = 0` while warming up.

    Args:
        train_pairs: Rows of the bank: number of training pairs.
        bits: Length of the code.
        negatives: Keys drawn per pair. A step gathers ``pairs (negatives + 1) bits`` floats: 0.5 GB at batch
            256, 4096 negatives and 128 bits.
        temperature: ``T``, above 0.
        momentum: ``d``, in 0..1; at 0 the keys always come from the batch.
        seed: Of the bank's initial values and of the drawn keys.

    Source:
        Hu et al., TPAMI 45(3) 2023, section 3.3, and the authors' public code. The two normalisations of the
        update are in the code only.

    Differs:
        The bank is in our own checkpoints, and the drawn keys are a function of seed, step and process, so
        that a resumed run continues as if it had not stopped. In distributed training each bank is updated with
        the rows of all ranks.
    """

    memory: Tensor
    steps: Tensor

    def __init__(
        self,
        train_pairs: int,
        bits: int,
        negatives: int = 4096,
        temperature: float = 0.9,
        momentum: float = 0.4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1 or temperature <= 0:
            raise ValueError(f"momentum must be in 0..1 and temperature above 0, got {momentum} and {temperature}")
        self.negatives = negatives
        # The original keeps both in a float32 buffer, so 0.4 is 0.40000000596 there, also in float64 runs.
        self.momentum = float(np.float32(momentum))
        self.scale = float(np.float32(temperature * math.sqrt(bits)))
        self.seed = seed
        self.register_buffer("memory", _initial_bank(train_pairs, bits, seed))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(
        self,
        images: Float[Tensor, "pairs bits"],
        texts: Float[Tensor, "pairs bits"],
        rows: Int64[Tensor, " pairs"],
        *,
        warmup: bool = False,
        draws: Int64[Tensor, "pairs negatives"] | None = None,
    ) -> ContrastiveTerms:
        """Logits and loss of both sides; then updates the bank, once per call and before any optimizer step.

        Args:
            images: Continuous image codes of unit length.
            texts: Continuous text codes of unit length.
            rows: Row of each pair in the bank, each at most once.
            warmup: Take the keys from the batch and replace the rows.
            draws: Rows of the negative keys, instead of drawing them.
        """
        from_batch = warmup or self.momentum == 0
        mean = ((images + texts) / 2).detach()
        if from_batch:
            keys = mean.sign()[_self_first(len(rows), rows.device)]
        else:
            drawn = self._draw(len(rows)).to(rows.device) if draws is None else draws
            keys = self.memory[torch.cat([rows.unsqueeze(1), drawn], dim=1)].sign()
        image_logits = torch.einsum("pkb,pb->pk", keys, images) / self.scale
        text_logits = torch.einsum("pkb,pb->pk", keys, texts) / self.scale
        self._update(mean, rows, momentum=0.0 if from_batch else self.momentum)
        return ContrastiveTerms(image_logits, text_logits, _positive_loss(image_logits), _positive_loss(text_logits))

    def _draw(self, pairs: int) -> Int64[Tensor, "pairs negatives"]:
        generator = np.random.default_rng([self.seed, int(self.steps), rank_and_world_size()[0]])
        return torch.from_numpy(generator.integers(len(self.memory), size=(pairs, self.negatives)))

    @torch.no_grad()
    def _update(self, mean: Float[Tensor, "pairs bits"], rows: Int64[Tensor, " pairs"], momentum: float) -> None:
        mean, rows = _gather_ragged(unit_along_axis_1(mean)), _gather_ragged(rows)
        self.memory[rows] = unit_along_axis_1(momentum * self.memory[rows] + (1 - momentum) * mean)
        self.steps += 1


def _initial_bank(train_pairs: int, bits: int, seed: int) -> Float[Tensor, "train_pairs bits"]:
    """Unit rows of random signs; the original's shift makes about 69 % of them negative."""
    spread = 1 / math.sqrt(bits / 3)
    normal = torch.randn(train_pairs, bits, generator=torch.Generator().manual_seed(seed))
    return unit_along_axis_1((normal * 2 * spread - spread).sign())


def _self_first(pairs: int, device: torch.device) -> Int64[Tensor, "pairs pairs"]:
    """Row i lists i, then every other row in ascending order."""
    rows = torch.arange(pairs, device=device).unsqueeze(1)
    others = torch.arange(pairs - 1, device=device).expand(pairs, -1)
    return torch.cat([rows, others + (others >= rows)], dim=1)


def _positive_loss(logits: Float[Tensor, "pairs keys"]) -> Float[Tensor, ""]:
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def _gather_ragged(values: Tensor) -> Tensor:
    """Rows of all ranks, in their order; batches may differ in length."""
    _, processes = rank_and_world_size()
    if processes == 1:
        return values
    lengths = [torch.zeros(1, dtype=torch.int64, device=values.device) for _ in range(processes)]
    distributed.all_gather(lengths, torch.tensor([len(values)], device=values.device))
    longest = max(int(length) for length in lengths)
    padded = values.new_zeros(longest, *values.shape[1:])
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(parts, padded)
    return torch.cat([part[: int(length)] for part, length in zip(parts, lengths, strict=True)])
