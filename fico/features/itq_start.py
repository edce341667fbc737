"""Warm start of hash heads from iterative quantisation of the training embeddings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fico.datasets.base import RetrievalSplit
from fico.features.base import ModelInputs
from fico.networks.hash_heads import HashHeads
from fico.search.itq import ITQ


@dataclass(frozen=True, slots=True)
class ITQStart:
    """Starts both linear hash heads as one ITQ, fitted on the training embeddings of both sides.

    Bits beyond the width of the embeddings keep their random directions.

    Args:
        seed: Of ITQ.
    """

    seed: int = 1234

    @torch.no_grad()
    def apply(self, network: HashHeads, train: RetrievalSplit, inputs: ModelInputs) -> str:
        """Set the first weights of both heads.

        Args:
            network: Its heads are set.
            train: Not used.
            inputs: Among them the embeddings of the training split.

        Returns:
            What was done, in one sentence.
        """
        rows = inputs.splits["train"]
        heads = (network.image_head, network.text_head)
        if inputs.sizes["image_dim"] != inputs.sizes["text_dim"]:
            return "no warm start by ITQ: images and captions are features of different widths, without a common space"
        sides = [
            head[0](torch.from_numpy(np.array(side)))
            for head, side in zip(heads, (rows.images, rows.texts), strict=True)
        ]
        bits = min(network.bits, *sides[0].shape) // 8 * 8
        if bits == 0:
            return "no warm start by ITQ: embeddings or pairs are too few for a code of 8 bits"
        matrix, offset = map(torch.from_numpy, ITQ(bits, self.seed).fit(*sides).projection)
        scale = torch.cat([side @ matrix.T + offset for side in sides]).std()
        for head in heads:
            linear: Any = head[-1]
            linear.weight[:bits] = matrix / scale
            linear.bias[:bits] = offset / scale
        return f"warm start: ITQ of {bits} bits of the training embeddings of both sides"
