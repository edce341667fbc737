"""Digests of large files are cached by size and time of change, and never believed for another file."""

import hashlib
import os

import pytest

from fico.errors import DataError
from fico.util.cached_folder import MANIFEST, changed_files, ensure_folder
from fico.util.digests import cached as module
from fico.util.digests.cached import file_digests, part_digest
from fico.util.digests.sidecar import check_digest_file, digest_file, write_digest_file


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Names of the files that were read; every file counts as large."""
    names, real = [], module.sha256
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "CACHED_BYTES", 0)
    monkeypatch.setattr(module, "sha256", lambda path: names.append(path.name) or real(path))
    return names


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1000)
    return paths


def test_they_are_those_of_the_content_and_each_file_is_read_once(files, read):
    wanted = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    for _ in range(2):
        assert file_digests(files) == wanted
    assert sorted(read) == ["a", "b", "c"]
    files[1].write_bytes(b"x" * 1000)
    assert file_digests(files) == [wanted[0], hashlib.sha256(b"x" * 1000).hexdigest(), wanted[2]]
    assert sorted(read) == ["a", "b", "b", "c"]


def test_a_missing_file_has_none_and_another_list_shares_nothing(files, read, tmp_path):
    assert file_digests([tmp_path / "none", files[0]])[0] == ""
    file_digests(files[:1])
    assert read == ["a", "a"]


def test_a_folder_in_place_of_a_file_has_none(files, tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    assert file_digests([*files, tmp_path / "folder.jpg"])[-1] == ""


def test_damaged_memory_is_not_believed(files, read, tmp_path):
    wanted = file_digests(files)
    (memory,) = (tmp_path / "cache" / "digests").iterdir()
    memory.write_text(memory.read_text().replace(wanted[0], wanted[1]))
    assert file_digests(files) == wanted


def test_small_files_are_read_each_time(files, read, monkeypatch):
    monkeypatch.setattr(module, "CACHED_BYTES", 2**20)
    first, state = file_digests(files), files[0].stat()
    files[0].write_bytes(b"y" * 1000)
    os.utime(files[0], ns=(state.st_atime_ns, state.st_mtime_ns))  # the same size and time
    assert file_digests(files) != first


def test_a_part_is_that_of_its_bytes_whatever_follows(files, read):
    wanted = hashlib.sha256(files[0].read_bytes()[10:500]).hexdigest()
    assert part_digest(files[0], 10, 490) == wanted
    with files[0].open("ab") as file:
        file.write(b"more")
    assert part_digest(files[0], 10, 490) == wanted
    files[0].write_bytes(b"z" * 1000)
    assert part_digest(files[0], 10, 490) != wanted


def test_a_folder_of_the_cache_with_any_changed_file_is_made_again(tmp_path):
    folder = tmp_path / "folder"

    def write(work):
        (work / "inner").mkdir()
        (work / "inner" / "a").write_text("first")
        (work / "b").write_text("second")

    for damage in ("inner/a", "b", MANIFEST):
        ensure_folder(folder, write)
        assert changed_files(folder) == []
        path = folder / damage
        path.write_text(path.read_text().replace("f", "g").replace("s", "z"))
        assert changed_files(folder) == [damage]
    ensure_folder(folder, write)
    (folder / "b").unlink()
    assert changed_files(folder) == ["b"]
    ensure_folder(folder, write)
    assert (folder / "b").read_text() == "second"
    (folder / "more").write_text("a file of somebody else")
    ensure_folder(folder, lambda work: pytest.fail("it is whole"))


def test_a_digest_beside_a_file_is_checked_where_it_lies(files):
    check_digest_file(files[0])
    write_digest_file(files[0])
    assert digest_file(files[0]).read_text().split() == [hashlib.sha256(files[0].read_bytes()).hexdigest(), "a"]
    check_digest_file(files[0])
    files[0].write_bytes(b"other")
    with pytest.raises(DataError, match=r"a is not the file whose SHA-256 a\.sha256 holds"):
        check_digest_file(files[0])
