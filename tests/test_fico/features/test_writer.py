"""Rows written beside a data set: whole or absent, and a killed run goes on as if nothing had been."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fico.errors import DataError, UsageError
from fico.features import writer
from fico.features.precomputed import read_precomputed
from fico.features.writer import RowFile

IDS = tuple(f"id{row}" for row in range(10))
ROOT = Path(__file__).resolve().parents[3]


def file_in(root, **changes):
    given = {"kind": "vgg19", "ids": IDS, "shape": (3,), "origin": "counting", "settings": {"a": 1}} | changes
    return RowFile(root, **given)


def values(start, stop):
    return np.arange(start * 3, stop * 3, dtype=np.float32).reshape(-1, 3)


class Steps:
    """Two rows a step; stops once before step ``fails_at``, and remembers what it made."""

    def __init__(self, fails_at=None):
        self.fails_at, self.made = fails_at, []

    def __call__(self, done):
        for step in range(done, 5):
            if step == self.fails_at:
                raise KeyboardInterrupt
            self.made.append(step)
            yield slice(2 * step, 2 * step + 2), values(2 * step, 2 * step + 2)


def names(root):
    return sorted(path.name for path in (root / "features").iterdir())


def test_written_rows_are_read_by_their_ids(tmp_path):
    path = file_in(tmp_path).write(Steps(), 5)
    assert names(tmp_path) == ["vgg19.json", "vgg19.npy"]
    found = read_precomputed(tmp_path, "vgg19", {"test": ("id7", "id2")}, axes=2)
    np.testing.assert_array_equal(found.rows["test"], values(0, 10)[[7, 2]])
    assert found.origin == "counting"
    assert path.stat().st_size == 128 + file_in(tmp_path).size_bytes


def test_changed_rows_are_refused_where_a_digest_is_stored_and_known_by_it_elsewhere(tmp_path):
    path, prints = file_in(tmp_path).write(Steps(), 5), []
    prints.append(read_precomputed(tmp_path, "vgg19", {"test": IDS}, axes=2).digest)
    np.save(path, values(0, 10) + 1)
    with pytest.raises(DataError, match=r"vgg19\.npy was changed since it was written"):
        read_precomputed(tmp_path, "vgg19", {"test": IDS}, axes=2)
    path.with_suffix(".json").write_text(json.dumps({"ids": IDS}))  # as somebody's own
    prints.append(read_precomputed(tmp_path, "vgg19", {"test": IDS}, axes=2).digest)
    np.save(path, values(0, 10) + 2)
    prints.append(read_precomputed(tmp_path, "vgg19", {"test": IDS}, axes=2).digest)
    assert len(set(prints)) == 3


@pytest.mark.parametrize("file", [".vgg19.part.npy", ".vgg19.part.json"])
def test_a_damaged_part_is_made_again_from_the_first_step_that_differs(tmp_path, monkeypatch, file):
    monkeypatch.setattr(writer, "SAVED_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        file_in(tmp_path).write(Steps(fails_at=4), 5)
    damaged, again = tmp_path / "features" / file, Steps()
    content = bytearray(damaged.read_bytes())
    content[128 + 5 * 12 if file.endswith("npy") else 9] ^= 1  # row 5, of the third step
    damaged.write_bytes(content)
    path = file_in(tmp_path).write(again, 5)
    assert again.made == ([2, 3, 4] if file.endswith("npy") else [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(np.load(path), values(0, 10))


def test_a_stopped_run_goes_on_where_it_was_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SAVED_SECONDS", 0.0)
    first, second = Steps(fails_at=3), Steps()
    with pytest.raises(KeyboardInterrupt):
        file_in(tmp_path).write(first, 5)
    assert read_precomputed(tmp_path, "vgg19", {"test": IDS}, axes=2) is None
    path = file_in(tmp_path).write(second, 5)
    assert (first.made, second.made) == ([0, 1, 2], [3, 4])
    whole = file_in(tmp_path / "other").write(Steps(), 5)
    assert path.read_bytes() == whole.read_bytes()
    assert path.with_suffix(".json").read_bytes() == whole.with_suffix(".json").read_bytes()


def test_a_process_that_is_killed_leaves_what_the_next_one_needs(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from fico.features import writer\nfrom tests_rows import Steps, file_in\nwriter.SAVED_SECONDS = 0.0\n"
        "class Killed(Steps):\n"
        "    def __call__(self, done):\n"
        "        for number, step in enumerate(super().__call__(done)):\n"
        "            if number == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "            yield step\n"
        "file_in(Path(sys.argv[1])).write(Killed(), 5)\n"
    )
    shutil.copy(__file__, tmp_path / "tests_rows.py")
    paths = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == [".vgg19.part.json", ".vgg19.part.npy"]
    steps = Steps()
    path = file_in(tmp_path).write(steps, 5)
    assert steps.made == [3, 4]
    np.testing.assert_array_equal(np.load(path), values(0, 10))
    assert names(tmp_path) == ["vgg19.json", "vgg19.npy"]


@pytest.mark.parametrize("killed_before", ["replace", "json"])
def test_a_run_that_is_killed_while_naming_its_files_only_names_them(tmp_path, monkeypatch, killed_before):
    """The rows are all there: nothing is made again, and nothing is read before the list of ids has its name."""
    atomic_write = writer.atomic_write

    def killed(path):
        if path.name == "vgg19.json":
            raise KeyboardInterrupt
        return atomic_write(path)

    with monkeypatch.context() as patch:
        if killed_before == "json":
            patch.setattr(writer, "atomic_write", killed)
        else:
            patch.setattr(RowFile, "_name", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            file_in(tmp_path).write(Steps(), 5)
    steps = Steps()
    path = file_in(tmp_path).write(steps, 5)
    assert steps.made == []
    np.testing.assert_array_equal(np.load(path), values(0, 10))
    assert names(tmp_path) == ["vgg19.json", "vgg19.npy"]


def test_a_whole_file_is_left_alone_and_another_needs_overwrite(tmp_path):
    file_in(tmp_path).write(Steps(), 5)
    steps = Steps()
    file_in(tmp_path).write(steps, 5)
    assert steps.made == []
    other = file_in(tmp_path, settings={"a": 2})
    with pytest.raises(UsageError, match=r"is there already, from counting; give --overwrite"):
        other.write(steps, 5)
    other.write(steps, 5, overwrite=True)
    assert steps.made == [0, 1, 2, 3, 4]
    assert json.loads(other.path.with_suffix(".json").read_text())["settings"] == {"a": 2}


@pytest.mark.parametrize("change", [{"settings": {"a": 2}}, {"ids": IDS[::-1]}, {"origin": "guessing"}])
def test_an_unfinished_file_of_other_settings_is_not_gone_on_with(tmp_path, monkeypatch, change):
    monkeypatch.setattr(writer, "SAVED_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        file_in(tmp_path).write(Steps(fails_at=3), 5)
    steps = Steps()
    file_in(tmp_path, **change).write(steps, 5)
    assert steps.made == [0, 1, 2, 3, 4]


def test_rows_that_nobody_filled_are_named(tmp_path):
    with pytest.raises(DataError, match=r"2 of 10 rows of vgg19\.npy .*id8, id9"):
        file_in(tmp_path).write(lambda done: ((slice(2 * k, 2 * k + 2), values(0, 2)) for k in range(4)), 5)
    assert not (tmp_path / "features" / "vgg19.npy").exists()


def test_a_disk_that_is_too_small_is_told_before_the_work(tmp_path):
    steps = Steps()
    with pytest.raises(DataError, match=r"needs 4[\d,]+ bytes and the disk has [\d,]+ left"):
        file_in(tmp_path, shape=(10**17,)).write(steps, 5)
    assert steps.made == []
