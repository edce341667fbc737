"""`HashCodes` against NumPy's packing."""

import re

import numpy as np
import pytest
import torch

from fico.codes import HashCodes, check_bits
from fico.errors import DataError, UsageError

LENGTHS = [1, 7, 8, 12, 63, 64, 65, 100, 128]


def random_bits(rows, bits, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (rows, bits))


@pytest.mark.parametrize("bits", LENGTHS)
def test_every_form_gives_the_same_words_and_comes_back(bits):
    ones = random_bits(9, bits)
    signs = 2 * ones - 1
    wanted = np.packbits(ones, axis=1)
    forms = [HashCodes.from_bits(ones), HashCodes.from_signs(signs), HashCodes.from_packed(wanted, bits)]
    forms += [HashCodes.of(ones), HashCodes.of(signs, bits), HashCodes.of(torch.from_numpy(signs).bfloat16())]
    forms += [HashCodes.of(wanted, bits)] if bits > 1 else []
    for codes in forms:
        assert codes.bits == bits
        assert codes.words.shape == (9, -(-bits // 64))
        assert np.array_equal(codes.words, forms[0].words)
        assert np.array_equal(codes.packed(), wanted)
        assert np.array_equal(codes.to_bits(), ones)
        assert np.array_equal(codes.to_signs(np.int8), signs)


@pytest.mark.parametrize("bits", [7, 12, 63, 100])
def test_dirty_bits_behind_the_code_are_set_to_zero(bits):
    ones = random_bits(9, bits)
    clean = np.packbits(ones, axis=1)
    dirty = clean.copy()
    dirty[:, -1] |= 0xFF >> bits % 8
    assert (dirty != clean).any()
    before = dirty.copy()
    assert np.array_equal(HashCodes.from_packed(dirty, bits).words, HashCodes.from_bits(ones).words)
    assert np.array_equal(dirty, before)  # the caller's array stays


def test_packing_puts_the_first_bit_highest():
    assert HashCodes.from_signs(np.array([[1, -1, -1, -1, -1, -1, -1, 1]])).packed().tolist() == [[129]]


def test_the_bytes_of_whole_words_are_a_view_and_can_be_taken_apart():
    packed = np.packbits(random_bits(5, 128), axis=1)
    codes = HashCodes.from_packed(packed, 128)
    assert np.shares_memory(codes.words, packed)
    assert np.shares_memory(codes.packed(), packed)
    for source in (packed, codes):
        assert not np.shares_memory(codes.apart_from(source).words, packed)
    assert codes.apart_from(packed.copy()) is codes


@pytest.mark.parametrize("low", [-1, 0])
@pytest.mark.parametrize("wrong", [0.5, 2.0, np.nan])
def test_another_value_is_named_with_its_row_and_bit(low, wrong):
    values = np.where(random_bits(70_000, 8) > 0, 1.0, low)
    values[69_000, 3] = wrong
    with pytest.raises(DataError, match=rf"images row 69000 holds {wrong} at bit 3; codes hold only {low} and 1"):
        HashCodes.of(values, what="images")
    with pytest.raises(DataError, match="images b holds"):
        HashCodes.of(values[68_999:69_001], what="images", ids=["a", "b"])


def test_one_matrix_has_one_form_also_across_blocks():
    values = np.ones((70_000, 8))
    values[0], values[-1] = -1, 0
    with pytest.raises(DataError, match=r"row 69999 holds 0\.0 at bit 0; codes hold only -1 and 1"):
        HashCodes.of(values)


def test_what_is_no_packed_form_is_refused():
    packed = np.packbits(random_bits(5, 64), axis=1)
    with pytest.raises(DataError, match="packed codes need bits="):
        HashCodes.of(packed)
    with pytest.raises(UsageError, match=r"bits=16 does not fit items with 8 columns of uint8, packed or not"):
        HashCodes.of(packed, 16, "items")
    with pytest.raises(DataError, match="packed items are int64; packed codes are uint8"):
        HashCodes.of(packed.astype(np.int64), 64, "items")
    with pytest.raises(UsageError, match="bits=8 does not fit items, which are codes of 64 bits"):
        HashCodes.of(HashCodes.from_packed(packed, 64), 8, "items")


@pytest.mark.parametrize("bits", [{}, [8], "8", 7.5, True])
def test_a_length_that_is_no_whole_number_is_refused(bits):
    packed = np.zeros((3, 1), np.uint8)
    for make in (lambda: HashCodes.of(packed, bits), lambda: HashCodes.from_packed(packed, bits)):
        with pytest.raises(UsageError, match=f"bits={re.escape(repr(bits))} does not fit codes"):
            make()
    with pytest.raises(UsageError, match=f"bits is {re.escape(repr(bits))}; a code has whole bytes"):
        check_bits(bits)
