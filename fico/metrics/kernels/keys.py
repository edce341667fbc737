"""Whole numbers that order as scores do and carry relevance, so that one sort ranks the items and tells both."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fico.metrics.kernels.compiled import Ints, Words, kernel, subroutine


@subroutine
def relevance_row(labels: Words, image: int, out: NDArray[np.uint8]) -> None:
    """Writes 1 into ``out`` for every image that shares a label with ``image``, else 0."""
    images, words = labels.shape
    if words == 1:
        wanted = labels[image, 0]
        for i in range(images):
            out[i] = (labels[i, 0] & wanted) != 0
    elif words == 2:
        first, second = labels[image, 0], labels[image, 1]
        for i in range(images):
            out[i] = ((labels[i, 0] & first) | (labels[i, 1] & second)) != 0
    else:
        for i in range(images):
            common = np.uint64(0)
            for w in range(words):
                common |= labels[i, w] & labels[image, w]
            out[i] = common != 0


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
) -> None:
    """Whole numbers that order as the scores do, with the item's relevance in the lowest bit, so one sort does both.

    A row is first divided by the power of two that brings its scores below 2: that loses no bit, and frees one for the
    relevance. A score of minus infinity gets the lowest key.

    Args:
        bits: Scores seen as whole numbers of the same size (sign, exponent, mantissa).
        query_images: Image of each row.
        item_images: Image of each column.
        identity: Items are the images themselves, in order.
        labels: Bit sets of each image's labels.
        format_: Of this float, as whole numbers of its size: magnitude mask, infinity, bit of 2.0, mantissa bits, and
            the exponent field of 1.0.
        keys: Receives whole numbers of the same size.
        relevant_counts: Receives the number of relevant items of each row.
        divisors: Receives what was subtracted from the magnitudes of each row.
        lost: Set for a row with other scores so small next to its largest that the division would tie them with 0.
    """
    items = bits.shape[1]
    by_image, by_item = np.empty(len(labels), np.uint8), np.empty(items, np.uint8)
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


@kernel
def kth_scores(keys: NDArray[Any], divisors: NDArray[Any], format_: NDArray[Any], k: int, bits: NDArray[Any]) -> None:
    """The ``k``-th highest score of each row of sorted keys, as a whole number of `keys_of_rows` into ``bits``."""
    infinity, two, word = format_[1], format_[2], bits.dtype.type
    sign = word(~format_[0])
    for q in range(len(keys)):
        key = word(keys[q, keys.shape[1] - k] >> 1)
        magnitude = word(0) if key == 0 else word(abs(key) + divisors[q])
        magnitude = infinity if key == -two else magnitude
        bits[q] = word(magnitude | sign) if key < 0 else magnitude
