"""The garbage collector is paused while modules are imported, comes back, and leaves what somebody froze."""

import gc
import subprocess
import sys

import pytest

from fico.util.collector import paused_garbage_collector


def test_the_collector_rests_and_comes_back_after_an_error_too():
    def fail():
        assert not gc.isenabled()
        raise KeyError

    with pytest.raises(KeyError), paused_garbage_collector():
        fail()
    assert gc.isenabled()


def test_who_switched_the_collector_off_finds_it_off():
    gc.disable()
    try:
        with paused_garbage_collector(), paused_garbage_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


AGES = """
import gc
from fico.util.collector import paused_garbage_collector

if {freezes}:
    gc.freeze()
with paused_garbage_collector():
    made = [[]]
generations = [n for n in range(3) if any(found is made for found in gc.get_objects(n))]
print(generations, gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize(("freezes", "found"), [(False, "[2] False"), (True, "[0] True")])
def test_what_was_made_meanwhile_is_old_and_what_was_frozen_stays_frozen(freezes, found):
    command = [sys.executable, "-c", AGES.format(freezes=freezes)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == found


COLLECTIONS = """
import gc
import fico

before = gc.get_stats()
fico.evaluate
print(sum(after["collections"] - of["collections"] for of, after in zip(before, gc.get_stats())))
"""


def test_importing_a_public_name_collects_nothing():
    """PyTorch and numba alone are some 500 collections, three of which search everything: 0.4 s."""
    command = [sys.executable, "-c", COLLECTIONS]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) == 0
