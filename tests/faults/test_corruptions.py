"""The short form of the loop of corruptions: two damages of every kind of file, none of them believed."""

import os
import random

import pytest

from tests.corruption_loop import KINDS, Corruptions, Kind, changed, swap, zero


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    cache = os.environ["FICO_CACHE_DIR"]
    yield Corruptions(tmp_path_factory.mktemp("corruptions"), seed=1)
    os.environ["FICO_CACHE_DIR"] = cache


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_damaged_file_is_refused_or_made_again(loop, kind):
    loop.faults.clear()
    assert loop.damaged(kind, 2).total() == 2
    assert loop.faults == []


def test_the_loop_sees_a_reader_that_believes_what_it_reads(loop):
    """The check above can fail: a reader without a digest gets other values."""
    kind = next(kind for kind in KINDS if kind.file == "results.csv")
    believing = Kind(kind.example, kind.file, lambda folder: (folder / kind.file).read_bytes())
    loop.faults.clear()
    assert loop.damaged(believing, 3)["silent"] == len(loop.faults) == 3


@pytest.mark.parametrize("damage", [swap, zero])
def test_every_damage_shows(damage):
    assert changed(bytes(9), damage, random.Random(0)) != bytes(9)
