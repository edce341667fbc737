"""Files that the system refuses to grow, as on a full disk: the path is named and nothing is left."""

import resource
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fico.errors import FicoError
from fico.experiment.resume.checkpoint_file import AtomicCheckpoints
from fico.util.atomic import atomic_write
from fico.util.disk_errors import disk_sentence, map_new_file

BYTES = 100_000


@contextmanager
def small_disk():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_checkpoint(path):
    AtomicCheckpoints().save_checkpoint({"state_dict": torch.zeros(BYTES)}, path)


def write_map(path):
    map_new_file(path, np.dtype(np.float32), (BYTES,))


def write_text(path):
    with atomic_write(path) as temporary:
        temporary.write_text("x" * 2 * BYTES)


def write_tensors(path):
    with atomic_write(path) as temporary:
        save_file({"rows": torch.zeros(BYTES)}, temporary)


@pytest.mark.parametrize("write", [write_checkpoint, write_map, write_text, write_tensors])
def test_a_file_that_does_not_fit_is_named_and_leaves_nothing(tmp_path, write):
    path = tmp_path / "file"
    with small_disk(), pytest.raises((FicoError, OSError)) as caught:
        write(path)
    error = caught.value
    told = disk_sentence(error) if isinstance(error, OSError) else str(error)
    assert str(path) in told
    assert told.endswith("repeat the command")
    assert not list(tmp_path.iterdir())
