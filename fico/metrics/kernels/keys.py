"""Whole numbers that order as scores do and carry relevance, so that one sort ranks the items and yields both."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.compiled import Ints, Words, kernel, subroutine


@subroutine
def relevance_row(labels: NDArray[np.uint64], image: int, out: NDArray[np.uint8]) -> None:
    """Writes 1 into ``out`` for every image that shares a label with ``image``, else 0; labels ``words images``."""
    for i in range(len(out)):
        out[i] = (labels[0, i] & labels[0, image]) != 0
    for w in range(1, len(labels)):
        for i in range(len(out)):
            out[i] |= (labels[w, i] & labels[w, image]) != 0


@kernel
def keys_of_rows(
    bits: NDArray[Any],
    query_images: Ints,
    item_images: Ints,
    identity: bool,
    labels: Words,
    format_: NDArray[Any],
    keys: NDArray[Any],
    relevant_counts: Ints,
    divisors: NDArray[Any],
    lost: NDArray[np.bool_],
    by_image: NDArray[np.uint8],
    by_item: NDArray[np.uint8],
) -> None:
    """Whole numbers that order as the scores do, with the item's relevance in the lowest bit, so one sort does both.

    A row is first divided by the power of two that brings its scores below 2: that loses no bit, and frees one for the
    relevance. A score of minus infinity gets the lowest key.

    Args:
        bits: Scores seen as whole numbers of the same size (sign, exponent, mantissa).
        query_images: Image of each row.
        item_images: Image of each column.
        identity: Items are the images themselves, in order.
        labels: Bit sets of each image's labels, ``words images``.
        format_: Of this float, as whole numbers of its size: magnitude mask, infinity, bit of 2.0, mantissa bits, and
            the exponent field of 1.0.
        keys: Receives whole numbers of the same size.
        relevant_counts: Receives the number of relevant items of each row.
        divisors: Receives what was subtracted from the magnitudes of each row.
        lost: Set for a row with other scores so small next to its largest that the division would tie them with 0.
        by_image: Working memory, as long as there are images.
        by_item: Working memory, as long as there are items.
    """
    items = bits.shape[1]
    mask, infinity, two, mantissa, one = format_[0], format_[1], format_[2], format_[3], format_[4]
    word = bits.dtype.type  # numba widens what is not cast back, and halves the speed
    zero = word(0)
    for q in range(len(bits)):
        if q == 0 or query_images[q] != query_images[q - 1]:
            relevance_row(labels, query_images[q], by_image)
            if identity:
                for j in range(items):
                    by_item[j] = by_image[j]
            else:  # captions inherit from their image
                for j in range(items):
                    by_item[j] = by_image[item_images[j]]
        row, largest, tiny = bits[q], zero, False
        for j in range(items):
            magnitude = word(row[j] & mask)
            largest = max(largest, magnitude if magnitude != infinity else zero)
        divisor = word(max(zero, word((largest >> mantissa) - one)) << mantissa)
        for j in range(items):
            magnitude = word(row[j] & mask)
            tiny |= (magnitude != zero) & (magnitude <= divisor)
            key = word(max(word(magnitude - divisor), zero))
            key = word(-key) if row[j] < zero else key
            key = word(-two) if magnitude == infinity else key
            keys[q, j] = word(key * 2 + by_item[j])
        count = 0
        for j in range(items):
            count += by_item[j]
        relevant_counts[q], divisors[q], lost[q] = count, divisor, tiny & (divisor > 0)
