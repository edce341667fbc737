# mypy: disable-error-code="misc,no-untyped-def,untyped-decorator,no-untyped-call,no-any-return,operator"
# ruff: noqa: ANN001, ANN202
"""The fused kernels of the GPU path, in Triton: three passes, none of which makes a matrix of queries by items.

Importing this module imports Triton. With ``TRITON_INTERPRET=1`` set before, the kernels run on the CPU, slowly.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from fico.search.hamming.layout import GPU_FILL, GPU_ID_BITS, GPU_PART, GPU_QUERIES

GROUP = 64  # neighbouring items of which the first pass keeps the least distance
_STEPS = 32  # products of one program: its queries stay where they are meanwhile
_CHUNK = 2048  # distances that a program reads together


@triton.jit
def _least_kernel(
    queries,
    items,
    least,
    query_count,
    padded,
    stride,
    bits,
    width: tl.constexpr,
    part: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
    group: tl.constexpr,
    steps: tl.constexpr,
):
    row = tl.program_id(1) * rows + tl.arange(0, rows)
    known = row < query_count
    along = tl.arange(0, part)
    left_at = queries + row[:, None] * width + along[None, :]
    left = tl.load(left_at, known[:, None], 0)
    first = tl.program_id(0) * columns * steps
    for start in range(first, tl.minimum(first + columns * steps, padded), columns):
        column = start + tl.arange(0, columns)
        right_at = items + column[None, :].to(tl.int64) * width + along[:, None]
        product = tl.dot(left, tl.load(right_at), out_dtype=tl.int32)
        for at in tl.static_range(part, width, part):
            more = tl.load(left_at + at, known[:, None], 0)
            product = tl.dot(more, tl.load(right_at + at), product, out_dtype=tl.int32)
        # A product counts bits twice: bits - 2 * distance.
        best = tl.max(tl.reshape(product, (rows, columns // group, group)), axis=2)
        at = row[:, None].to(tl.int64) * stride + start // group + tl.arange(0, columns // group)[None, :]
        tl.store(least + at, ((bits - best) // 2).to(tl.int16), known[:, None])


@triton.jit
def _list_kernel(least, lists, counts, limits, full, groups, stride, k, bits, bins: tl.constexpr, chunk: tl.constexpr):
    query = tl.program_id(0).to(tl.int64)
    least += query * stride
    lists += query * stride
    along = tl.arange(0, chunk)
    seen = tl.zeros((bins,), tl.int32)
    for start in range(0, full, chunk):
        known = start + along < full
        seen += tl.histogram(tl.load(least + start + along, known, 0).to(tl.int32), bins, mask=known)
    limit = tl.minimum(tl.sum((tl.cumsum(seen, 0) < k).to(tl.int32), 0), bits)
    tl.store(limits + query, limit)
    count = 0
    for start in range(0, groups, chunk):
        entry = start + along
        distance = tl.load(least + entry, entry < full, -1).to(tl.int32)  # the last group may hold padding: list it
        near = ((distance <= limit) & (entry < groups)).to(tl.int32)
        tl.store(lists + count + tl.cumsum(near, 0) - near, entry, near > 0)
        count += tl.sum(near, 0)
    tl.store(counts + query, count)


@triton.jit
def _ones(word):
    """Bits set in 64-bit integers: pairs, nibbles and bytes are summed within the word."""
    word = word - ((word >> 1) & 0x5555555555555555)
    word = (word & 0x3333333333333333) + ((word >> 2) & 0x3333333333333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((word * 0x0101010101010101) >> 56).to(tl.int32)


@triton.jit
def _distances(queries, items, lists, start, count, item_count, padded, words: tl.constexpr, group, chunk):
    """Ids and distances of the items of listed groups; which of them are there."""
    entry = start * group + tl.arange(0, chunk)
    listed = entry < count * group
    item = tl.load(lists + entry // group, listed, 0).to(tl.int64) * group + entry % group
    there = listed & (item < item_count)
    distance = tl.zeros((chunk,), tl.int32)
    for word in tl.static_range(words):
        differing = tl.load(items + word * padded + item, there, 0) ^ tl.load(queries + word)
        distance += _ones(differing.to(tl.uint64, bitcast=True))
    return item, distance, there


@triton.jit
def _select_kernel(
    queries,
    items,
    lists,
    counts,
    limits,
    found,
    item_count,
    padded,
    stride,
    k,
    words: tl.constexpr,
    bins: tl.constexpr,
    group: tl.constexpr,
    chunk: tl.constexpr,
    id_bits: tl.constexpr,
):
    query = tl.program_id(0).to(tl.int64)
    count, limit = tl.load(counts + query), tl.load(limits + query)
    queries += query * words
    lists += query * stride
    found += query * k
    seen = tl.zeros((bins,), tl.int32)
    for start in range(0, count, chunk // group):
        item, distance, there = _distances(queries, items, lists, start, count, item_count, padded, words, group, chunk)
        seen += tl.histogram(distance, bins, mask=there & (distance <= limit))
    last = tl.sum((tl.cumsum(seen, 0) < k).to(tl.int32), 0)  # distance of the k-th
    ties = k - tl.sum(tl.where(tl.arange(0, bins) < last, seen, 0), 0)  # slots for codes at that distance
    taken, tied = 0, 0
    for start in range(0, count, chunk // group):
        item, distance, there = _distances(queries, items, lists, start, count, item_count, padded, words, group, chunk)
        equal = (there & (distance == last)).to(tl.int32)
        fits = (equal > 0) & (tied + tl.cumsum(equal, 0) <= ties)
        takes = (there & (distance < last) | fits).to(tl.int32)
        slot = taken + tl.cumsum(takes, 0) - takes
        tl.store(found + slot, (distance.to(tl.int64) << id_bits) | item, takes > 0)
        taken += tl.sum(takes, 0)
        tied += tl.sum(equal, 0)


def nearest(
    queries: tuple[Tensor, Tensor], items: tuple[Tensor, Tensor], count: int, k: int, bits: int, stages: int = 3
) -> Tensor:
    """The k nearest codes of some queries.

    The first pass keeps the least distance within each group of 64 items. As many groups as the k-th smallest of these
    reaches hold k items at most so far away, so only their items can be among the k nearest: the second pass lists
    them, the third counts their distances and takes the k nearest. Nothing depends on how the data lie.

    Args:
        queries: Signs ``queries width`` of +1, -1 and 0 after the code, ``int8``, the width a power of two from 32 on;
            and words, ``queries words`` of 64 bits.
        items: Signs ``padded width``, and words ``words padded``; rows padded with anything to a multiple of 128.
        count: Items without padding.
        k: Items of each query, at most ``count``.
        bits: Code length.
        stages: Of the first kernel's pipeline, from ``pipeline_stages``.

    Returns:
        ``queries k`` of ``distance << 40 | item``, ``int64``, ascending.
    """
    (signs, words), (item_signs, item_words) = queries, items
    rows, width, device = len(signs), signs.shape[1], signs.device
    padded = len(item_signs)
    stride, full, groups = padded // GROUP, count // GROUP, -(-count // GROUP)
    bins = max(32, 1 << bits.bit_length())
    least = torch.empty(rows, stride, dtype=torch.int16, device=device)
    grid = (triton.cdiv(padded, GPU_FILL * _STEPS), triton.cdiv(rows, GPU_QUERIES))
    part = min(width, GPU_PART)
    shape = (width, part, GPU_QUERIES, GPU_FILL, GROUP, _STEPS)
    _least_kernel[grid](signs, item_signs, least, rows, padded, stride, bits, *shape, num_warps=8, num_stages=stages)
    lists = torch.empty(rows, stride, dtype=torch.int32, device=device)
    counts, limits = (torch.empty(rows, dtype=torch.int32, device=device) for _ in range(2))
    _list_kernel[(rows,)](least, lists, counts, limits, full, groups, stride, k, bits, bins, _CHUNK)
    found = torch.empty(rows, k, dtype=torch.int64, device=device)
    arguments = (words, item_words, lists, counts, limits, found, count, padded, stride, k)
    _select_kernel[(rows,)](*arguments, words.shape[1], bins, GROUP, _CHUNK, GPU_ID_BITS)
    return found.sort(dim=1).values
