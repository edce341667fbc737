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
        asks, looked = (words, images) if network.direction == "t2i" else (images, words)
        cosines = _cosine(asks, _attended(asks, looked, network.lambda_softmax, network.norm))
        columns.append(aggregate(cosines.unsqueeze(1), network.aggregation, network.lambda_lse))
    return torch.cat(columns, dim=1)


def imram_by_captions(
    network: IMRAM,
    images: Float[Tensor, "images regions dim"],
    texts: Float[Tensor, "texts words dim"],
    lengths: Int64[Tensor, " texts"],
) -> Float[Tensor, "images texts"]:
    """Scores of IMRAM, the refinement that is thrown away at the end included."""
    columns = []
    for vectors, length in zip(texts, lengths.tolist(), strict=True):
        words = vectors[:length].expand(len(images), -1, -1).contiguous()
        total = torch.zeros(len(images), dtype=images.dtype, device=images.device)
        for direction in network.directions:
            asks, looked = (words, images) if direction == "t2i" else (images, words)
            linear, gate = (network.get_submodule(f"{kind}_{direction}") for kind in ("linear", "gate"))
            query = asks
            for _ in range(network.steps):
                attended = _attended(query, looked, network.lambda_softmax, "clipped_l2norm")
                total = total + _cosine(asks, attended).mean(dim=1)
                both = torch.cat([query, attended], dim=2)
                share = gate(both).sigmoid()
                query = query * share + linear(both).tanh() * (1 - share)
                query = unit_vectors(query) if network.normalise_memory else query
        columns.append(total.unsqueeze(1))
    return torch.cat(columns, dim=1)


def _attended(
    asks: Float[Tensor, "images asking dim"], looked: Float[Tensor, "images looked dim"], sharpness: float, norm: str
) -> Float[Tensor, "images asking dim"]:
    """What every asking vector attends to, as a vector."""
    raw = torch.bmm(looked, asks.transpose(1, 2))
    if norm.startswith("clipped"):
        raw = functional.leaky_relu(raw, 0.1)
    if norm == "softmax":
        raw = raw.softmax(dim=2)
    elif norm.endswith("l2norm"):
        raw = raw / (raw.pow(2).sum(dim=2, keepdim=True).sqrt() + EPSILON)
    weights = (raw.transpose(1, 2).contiguous() * sharpness).softmax(dim=2)
    return torch.bmm(looked.transpose(1, 2), weights.transpose(1, 2).contiguous()).transpose(1, 2)  # their order


def _cosine(
    asks: Float[Tensor, "images asking dim"], attended: Float[Tensor, "images asking dim"]
) -> Float[Tensor, "images asking"]:
    lengths: Tensor = asks.norm(dim=2) * attended.norm(dim=2)
    return (asks * attended).sum(dim=2) / lengths.clamp(min=EPSILON)
