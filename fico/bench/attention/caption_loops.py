"""Cross-attention scored as the original programs do it: one caption after the other, with attended vectors.

Slow and plain, as a second version: the bench takes its times from here, tests compare the tile scorer with it.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from fico.networks.blocks.attention import aggregate
from fico.networks.blocks.l2_norm import EPSILON, unit_vectors
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN


def scan_by_captions(
    network: SCAN,
    images: Float[Tensor, "images regions dim"],
    texts: Float[Tensor, "texts words dim"],
    lengths: Int64[Tensor, " texts"],
) -> Float[Tensor, "images texts"]:
    """Scores of SCAN."""
    columns = []
    for vectors, length in zip(texts, lengths.tolist(), strict=True):
        words = vectors[:length].expand(len(images), -1, -1).contiguous()
        queries, keys = (words, images) if network.direction == "t2i" else (images, words)
        cosines = _cosine(queries, _attended(queries, keys, network.lambda_softmax, network.norm))
        columns.append(aggregate(cosines.unsqueeze(1), network.aggregation, network.lambda_lse))
    return torch.cat(columns, dim=1)


def imram_by_captions(
    network: IMRAM,
    images: Float[Tensor, "images regions dim"],
    texts: Float[Tensor, "texts words dim"],
    lengths: Int64[Tensor, " texts"],
) -> Float[Tensor, "images texts"]:
    """Scores of IMRAM, the last refinement, which is not used, included."""
    columns = []
    for vectors, length in zip(texts, lengths.tolist(), strict=True):
        words = vectors[:length].expand(len(images), -1, -1).contiguous()
        total = torch.zeros(len(images), dtype=images.dtype, device=images.device)
        for direction in network.directions:
            queries, keys = (words, images) if direction == "t2i" else (images, words)
            linear, gate = (network.get_submodule(f"{kind}_{direction}") for kind in ("linear", "gate"))
            memory = queries
            for _ in range(network.steps):
                attended = _attended(memory, keys, network.lambda_softmax, "clipped_l2norm")
                total = total + _cosine(queries, attended).mean(dim=1)
                both = torch.cat([memory, attended], dim=2)
                kept = gate(both).sigmoid()
                memory = memory * kept + linear(both).tanh() * (1 - kept)
                memory = unit_vectors(memory) if network.normalise_memory else memory
        columns.append(total.unsqueeze(1))
    return torch.cat(columns, dim=1)


def _attended(
    queries: Float[Tensor, "images queries dim"], keys: Float[Tensor, "images keys dim"], sharpness: float, norm: str
) -> Float[Tensor, "images queries dim"]:
    """The attended vector of each query."""
    raw = torch.bmm(keys, queries.transpose(1, 2))
    if norm.startswith("clipped"):
        raw = functional.leaky_relu(raw, 0.1)
    if norm == "softmax":
        raw = raw.softmax(dim=2)
    elif norm.endswith("l2norm"):
        raw = raw / (raw.pow(2).sum(dim=2, keepdim=True).sqrt() + EPSILON)
    weights = (raw.transpose(1, 2).contiguous() * sharpness).softmax(dim=2)
    return torch.bmm(keys.transpose(1, 2), weights.transpose(1, 2).contiguous()).transpose(1, 2)  # their order


def _cosine(
    queries: Float[Tensor, "images queries dim"], attended: Float[Tensor, "images queries dim"]
) -> Float[Tensor, "images queries"]:
    lengths: Tensor = queries.norm(dim=2) * attended.norm(dim=2)
    return (queries * attended).sum(dim=2) / lengths.clamp(min=EPSILON)
