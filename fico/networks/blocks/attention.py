"""Cross-attention between regions and words, for every pair of an image and a caption at once.

In t2i the queries are words and the context regions, in i2t the reverse. All pairs are in one tensor
``contexts queries query_len context_len``; the padding of a caption is masked. Where every context has queries of its
own, vectors, masks and norms of the queries have an axis of the contexts in front.

An attended vector ``v`` enters a score only by its product with the query and by its length. Both follow from
the attention weights ``w`` and products that are there already, ``q . v = sum w_c (q . c)`` and ``|v|^2 = w G w``
with the Gram matrix ``G`` of the context, so no vector of the embedding's width is made for a pair.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from fico.networks.blocks.l2_norm import EPSILON
from fico.networks.blocks.segments import segment_sums

RawNorm = Literal["clipped_l2norm", "l2norm", "clipped", "softmax", "no_norm"]
Aggregation = Literal["LogSumExp", "Mean", "Max", "Sum"]

_NEGATIVE_SLOPE = 0.1  # of the leaky ReLU
_SMALLEST_SQUARE = 1e-24  # keeps the gradient of a root finite at 0


def word_mask(words: int, lengths: Int64[Tensor, "*texts"] | None) -> Bool[Tensor, "*texts words"] | None:
    """Padding mask: True at the real words.

    Args:
        words: Width to which the texts are padded.
        lengths: Words of each text; None: all are as long as they are wide.

    Returns:
        None where nothing is padded, which saves the masking; a GPU is not asked, as the answer would have to wait for
        all that it has to do.
    """
    if lengths is None or (lengths.device.type == "cpu" and int(lengths.min()) >= words):
        return None
    return torch.arange(words, device=lengths.device) < lengths.unsqueeze(-1)


def dot_products(
    queries: Float[Tensor, "*contexts queries query_len dim"], context: Float[Tensor, "contexts context_len dim"]
) -> Float[Tensor, "contexts queries query_len context_len"]:
    """Inner products of the query vectors and context vectors of every pair.

    Args:
        queries: The same for every context, or (four axes) those of each context.
        context: Vectors that the queries attend to.
    """
    count, length = queries.shape[-3:-1]
    flat = queries.reshape(*queries.shape[:-3], count * length, -1).expand(len(context), -1, -1)
    products: Tensor = torch.bmm(flat, context.transpose(1, 2))
    return products.view(len(context), count, length, context.shape[1])


def single_precision_sum(values: Float[Tensor, "..."], dim: int, keepdim: bool = False) -> Float[Tensor, "..."]:
    """Sum along an axis, in float32 where the values are in half precision.

    The GPU's autocast does the same; the CPU's would round the sum, and float16 holds none of the epsilons.
    """
    total: Tensor = values.sum(dim=dim, keepdim=keepdim, dtype=torch.promote_types(values.dtype, torch.float32))
    return total


def attention_weights(
    raw: Float[Tensor, "contexts queries query_len context_len"],
    sharpness: float,
    norm: RawNorm = "clipped_l2norm",
    query_mask: Bool[Tensor, "*contexts queries query_len"] | None = None,
    context_mask: Bool[Tensor, "contexts context_len"] | None = None,
    segments: Int64[Tensor, "contexts segments"] | None = None,
) -> Float[Tensor, "contexts queries query_len context_len"]:
    """Softmax over the context of normalised inner products.

    Args:
        raw: Inner products.
        sharpness: Inverse temperature of the softmax, above 0 (``lambda_softmax``).
        norm: How products are normalised first. ``clipped_l2norm``: leaky ReLU, then every context vector's row
            is divided by its L2 norm over the query axis; ``l2norm``: the same without the ReLU; ``clipped``:
            only the ReLU; ``softmax``: over the query axis; ``no_norm``: nothing.
        query_mask: True at real query vectors, where they are padded.
        context_mask: True at real context vectors, where they are padded.
        segments: Of packed queries (``queries`` is 1): how many vectors of the query axis belong together, which are
            normalised for themselves; each row adds up to ``query_len``. Not for ``norm="softmax"``.

    Returns:
        Weights that add up to 1 over the context; 0 where it is padded, of no meaning at padded queries.

    Raises:
        ValueError: ``norm`` is unknown.

    Source:
        Lee et al., ECCV 2018, equations 1, 2 and 6 to 8, and ``func_attention`` of the public code.

    Differs:
        The options ``l1norm`` and ``clipped_l1norm`` are left out: the original's code for them fails.
    """
    logits = _logits(raw, sharpness, norm, query_mask, segments)
    if context_mask is not None:
        logits = logits.masked_fill(~context_mask[:, None, None, :], -torch.inf)
    return logits.softmax(dim=-1)


def _logits(raw: Tensor, sharpness: float, norm: RawNorm, query_mask: Tensor | None, segments: Tensor | None) -> Tensor:
    if norm not in get_args(RawNorm):
        raise ValueError(f"norm must be one of {get_args(RawNorm)}, got {norm!r}")
    if norm.startswith("clipped"):
        raw = functional.leaky_relu(raw, _NEGATIVE_SLOPE)
    if query_mask is not None:
        raw = raw.masked_fill(~query_mask[..., None], -torch.inf if norm == "softmax" else 0)
    if norm == "softmax":
        raw = raw.softmax(dim=2)
    if not norm.endswith("l2norm"):
        return raw * sharpness
    squares = raw.square()  # linalg.vector_norm over the query axis is ten times slower
    if segments is None:
        sums = single_precision_sum(squares, dim=2, keepdim=True)
    else:
        sums = segment_sums(squares.flatten(0, 2), segments)
    scale = sharpness / (sums.clamp(min=_SMALLEST_SQUARE).sqrt() + EPSILON)
    return raw * (scale if segments is None else scale.repeat_interleave(segments.flatten(), dim=0).view_as(raw))


def attended_cosines(
    weights: Float[Tensor, "contexts queries query_len context_len"],
    raw: Float[Tensor, "contexts queries query_len context_len"],
    gram: Float[Tensor, "contexts context_len context_len"],
    query_norms: Float[Tensor, "*contexts queries query_len"],
) -> Float[Tensor, "contexts queries query_len"]:
    """Cosine of each query vector and its attended vector.

    Args:
        weights: Of `attention_weights`.
        raw: Inner products of the query vectors with the context.
        gram: Gram matrix of each context.
        query_norms: L2 norms of the query vectors.

    Returns:
        Values in -1..1; the product of both norms counts at least 1e-8.
    """
    products = single_precision_sum(weights * raw, dim=-1)
    spread = torch.bmm(weights.flatten(1, 2), gram).view_as(weights)
    squares = single_precision_sum(spread * weights, dim=-1)
    norms = query_norms * squares.clamp(min=_SMALLEST_SQUARE).sqrt()
    return products / norms.clamp(min=EPSILON)


def aggregate(
    values: Float[Tensor, "contexts queries query_len"],
    aggregation: Aggregation,
    lambda_lse: float = 6.0,
    query_mask: Bool[Tensor, "*contexts queries query_len"] | None = None,
) -> Float[Tensor, "contexts queries"]:
    """One score per pair, pooled over its query vectors.

    Args:
        values: One value per query vector, higher is nearer.
        aggregation: ``LogSumExp``: ``log(sum exp(lambda_lse v)) / lambda_lse``, a sum and no mean, so that it grows
            with the number of vectors; ``Mean``, ``Max`` and ``Sum`` as they say.
        lambda_lse: Sharpness of ``LogSumExp``, above 0.
        query_mask: True at real query vectors, where they are padded.

    Raises:
        ValueError: ``aggregation`` is unknown.
    """
    if aggregation not in get_args(Aggregation):
        raise ValueError(f"aggregation must be one of {get_args(Aggregation)}, got {aggregation!r}")
    if query_mask is not None:
        values = values.masked_fill(~query_mask, 0 if aggregation in ("Mean", "Sum") else -torch.inf)
    if aggregation == "LogSumExp":
        return torch.logsumexp(values * lambda_lse, dim=-1) / lambda_lse
    if aggregation == "Max":
        return values.amax(dim=-1)
    total = single_precision_sum(values, dim=-1)
    if aggregation == "Sum":
        return total
    return total / (values.shape[-1] if query_mask is None else query_mask.sum(dim=-1))
