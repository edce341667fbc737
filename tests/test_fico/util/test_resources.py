import psutil
import pytest

from fico.errors import UsageError
from fico.util import resources


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A control group with a limit of 1000 bytes, 900 of them in use, 300 of these by mapped files."""
    monkeypatch.setattr(resources, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 200\nactive_file 100\n")
    return tmp_path


def test_the_limit_of_a_container_counts_and_mapped_files_are_free(group):
    assert resources.free_memory() == 400


@pytest.mark.parametrize("limit", ["max", "not a number"])
def test_without_a_limit_the_machine_counts(group, limit):
    (group / "memory.max").write_text(limit)
    assert 400 < resources.free_memory() <= psutil.virtual_memory().total


def test_resident_memory_grows_with_what_is_held():
    before = resources.resident_memory()
    held = bytearray(b"x" * 2**26)
    assert resources.resident_memory() - before > 2**25
    del held


def test_what_does_not_fit_is_refused_with_both_sizes(group, monkeypatch):
    monkeypatch.setattr(resources, "SMALL", 0)
    resources.require_memory(400, "ten codes", "take fewer")
    with pytest.raises(UsageError, match=r"ten codes need about 401 B of memory, but 400 B are free; take fewer"):
        resources.require_memory(401, "ten codes", "take fewer")
