import zipfile

import numpy as np
import pytest

from fico.errors import DataError
from fico.formats.npz import read_npz


def test_an_npz_is_read_whole_or_by_the_wanted_names(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3), y=np.eye(2))
    assert {name: array.shape for name, array in read_npz(path, "make it again").items()} == {"x": (3,), "y": (2, 2)}
    assert list(read_npz(path, "make it again", ("y", "z"))) == ["y"]


def test_what_is_no_array_is_refused_by_name(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("feat.npy", b"\x93NUMPX and no header")
    with pytest.raises(DataError, match="a.npz holds feat, which is no array; fetch it again"):
        read_npz(path, "fetch it again")
    assert list(read_npz(path, "fetch it again", ("x",))) == ["x"]


def test_another_file_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(DataError, match="a.npy is damaged or of another form .*; fetch it again"):
        read_npz(tmp_path / "a.npy", "fetch it again")
    with pytest.raises(DataError, match="there is no file .*b.npz"):
        read_npz(tmp_path / "b.npz", "fetch it again")
