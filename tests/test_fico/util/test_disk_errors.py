"""Full and read-only disks: one sentence, and nothing under the final name."""

import errno
import os

import numpy as np
import pytest

from fico.util import disk_errors
from fico.util.disk_errors import disk_sentence, map_new_file


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permissions"),
        (errno.EFBIG, "ulimit"),
    ],
)
def test_an_error_of_the_disk_is_a_sentence_with_the_path(number, told):
    sentence = disk_sentence(OSError(number, os.strerror(number), "/a/b"))
    assert sentence.startswith("/a/b: ")
    assert told in sentence
    assert sentence.endswith("repeat the command")


def test_other_errors_are_no_errors_of_the_disk():
    assert disk_sentence(FileNotFoundError(errno.ENOENT, "no such file", "x")) is None
    assert disk_sentence(OSError("without a number")) is None


def test_a_map_that_does_not_fit_is_refused_before_it_is_written(tmp_path, monkeypatch):
    def full(descriptor, start, size):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk_errors.os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match=r"scores\.part"):
        map_new_file(tmp_path / "scores.part", np.dtype(np.float32), (10, 10))
    assert not list(tmp_path.iterdir())


def test_a_map_is_a_plain_npy(tmp_path):
    mapped = map_new_file(tmp_path / "a.npy", np.dtype(np.float32), (3, 2))
    mapped[:] = 7
    mapped.flush()
    assert (np.load(tmp_path / "a.npy") == np.full((3, 2), 7, np.float32)).all()
