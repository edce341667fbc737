import json

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from scipy.io import savemat
from scipy.sparse import csr_matrix

from fico.errors import DataError, UsageError
from fico.formats.arrays import load_array, load_labels, load_pairs

ARRAY = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
OTHER = np.arange(4, dtype=np.int64)


def save_mat73(path, arrays):
    """As MATLAB writes version 7.3: a 512-byte header, then HDF5 with every array stored by columns."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in arrays.items():
            file[key] = value.T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def save_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[f"group/{key}"] = value


SAVERS = {
    "npz": lambda path, arrays: np.savez(path, **arrays),
    "safetensors": lambda path, arrays: save_file(arrays, path),
    "mat": savemat,
    "mat73": save_mat73,
    "h5": save_h5,
}
KEYS = {"h5": "group/images"}


def saved(folder, form, arrays):
    path = folder / f"file.{form.removesuffix('73')}"
    SAVERS[form](path, arrays)
    return path


@pytest.mark.parametrize("form", SAVERS)
def test_every_form_gives_the_same_array(tmp_path, form):
    path = saved(tmp_path, form, {"images": ARRAY})
    for source in (f"{path}", f"{path}:{KEYS.get(form, 'images')}"):
        np.testing.assert_array_equal(load_array(source), ARRAY)


@pytest.mark.parametrize("form", SAVERS)
def test_one_of_several_arrays_must_be_named(tmp_path, form):
    path = saved(tmp_path, form, {"images": ARRAY, "other": OTHER})
    with pytest.raises(UsageError, match=r"2 arrays .*images.*file\.\w+:KEY"):
        load_array(str(path))
    with pytest.raises(UsageError, match="no array 'nothing'; it has .*images"):
        load_array(f"{path}:nothing")
    np.testing.assert_array_equal(load_array(str(path), prefer=("absent", KEYS.get(form, "images"))), ARRAY)


def test_npy_files_are_mapped_and_not_read(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    assert isinstance(load_array(str(tmp_path / "a.npy")), np.memmap)


def test_a_colon_may_stand_in_a_name(tmp_path):
    np.save(tmp_path / "a:b.npy", ARRAY)
    np.savez(tmp_path / "c:d.npz", x=ARRAY, y=OTHER)
    np.testing.assert_array_equal(load_array(str(tmp_path / "a:b.npy")), ARRAY)
    np.testing.assert_array_equal(load_array(f"{tmp_path / 'c:d.npz'}:y"), OTHER)


def test_bfloat16_and_sparse_matrices_are_read_with_their_values(tmp_path):
    tensor = torch.from_numpy(ARRAY).bfloat16()
    save_tensors({"x": tensor}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(load_array(str(tmp_path / "x.safetensors")), tensor.float().numpy())
    labels = (ARRAY > 0).astype(float)
    savemat(tmp_path / "sparse.mat", {"LAll": csr_matrix(labels), "names": np.array(["a", "b"], object)})
    np.testing.assert_array_equal(load_labels(str(tmp_path / "sparse.mat")), labels.astype(bool))


def test_a_matlab_file_whose_damage_ends_scipys_process_is_refused(tmp_path):
    path = saved(tmp_path, "mat", {"images": np.arange(6.0).reshape(2, 3)})
    whole = path.read_bytes()
    type_of_values = whole.index(b"images") + 8
    assert whole[type_of_values] == 9  # float64; SciPy looks other numbers up beyond the end of a table
    messages = []
    for bit in (0, 1, 7):
        content = bytearray(whole)
        content[type_of_values + 1] ^= 1 << bit
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"file\.mat is damaged ") as refusal:
            load_array(str(path))
        messages.append(str(refusal.value))
    assert any("SciPy's reader is ended by SIG" in message for message in messages), messages


def test_a_matlab_variable_may_have_any_name(tmp_path):
    savemat(tmp_path / "a.mat", {"file": ARRAY, "names": OTHER, "arr_0": ARRAY})
    np.testing.assert_array_equal(load_array(f"{tmp_path / 'a.mat'}:file"), ARRAY)
    np.testing.assert_array_equal(load_array(f"{tmp_path / 'a.mat'}:names"), OTHER[None])


def test_names_of_a_damaged_file_are_told_in_one_line(tmp_path):
    save_file({"a\nb": ARRAY, "c": ARRAY}, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=r"2 arrays \('a\\nb', c\)"):
        load_array(str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("form", ["npy", *SAVERS])
def test_a_truncated_file_is_refused_by_name(tmp_path, form):
    if form == "npy":
        path = tmp_path / "file.npy"
        np.save(path, ARRAY)
    else:
        path = saved(tmp_path, form, {"images": ARRAY})
    path.write_bytes(path.read_bytes()[:-40] if form in ("npy", "npz", "safetensors") else b"\x00" * 60)
    with pytest.raises(DataError, match=r"file\."):
        load_array(str(path))


def test_a_missing_file_an_unknown_suffix_and_objects_are_refused(tmp_path):
    with pytest.raises(DataError, match="absent.npy does not exist"):
        load_array(str(tmp_path / "absent.npy"))
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(UsageError, match=r"a\.csv has the suffix '\.csv'"):
        load_array(str(tmp_path / "a.csv"))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a"]))
    for name in ("objects.npy", "words.npy"):
        with pytest.raises(DataError, match=name):
            load_array(str(tmp_path / name))


class TestPairs:
    ROWS = (0, 0, 2, 1)

    def write(self, folder, form):
        path = folder / "p.json"
        if form == "list":
            path.write_text(json.dumps(self.ROWS))
        elif form == "object":
            path.write_text(json.dumps({"caption_to_image": self.ROWS, "origin": {}}))
        elif form == "mat":
            path = folder / "p.mat"
            savemat(path, {"rows": np.array(self.ROWS, float)[:, None]})
        else:
            path = folder / "p.npy"
            np.save(path, np.array(self.ROWS, np.uint16))
        return path

    @pytest.mark.parametrize("form", ["list", "object", "mat", "npy"])
    def test_every_form_gives_the_same_rows(self, tmp_path, form):
        assert load_pairs(str(self.write(tmp_path, form))).caption_to_image.tolist() == list(self.ROWS)

    @pytest.mark.parametrize("text", ["", "{", "{}", "3", '["a"]', "[1.5]", "[true]", "[[0]]", "[]", "[-1]"])
    def test_anything_else_is_refused(self, tmp_path, text):
        (tmp_path / "p.json").write_text(text)
        with pytest.raises(DataError):
            load_pairs(str(tmp_path / "p.json"))

    def test_broken_numbers_are_not_rounded(self, tmp_path):
        np.save(tmp_path / "p.npy", np.array([0.0, 0.5]))
        with pytest.raises(DataError, match="float"):
            load_pairs(str(tmp_path / "p.npy"))


class TestLabels:
    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.int64])
    def test_multi_hot_labels_of_any_type_are_read(self, tmp_path, dtype):
        np.savez(tmp_path / "l.npz", labels=(ARRAY > 0).astype(dtype), image_ids=OTHER)
        np.testing.assert_array_equal(load_labels(str(tmp_path / "l.npz")), ARRAY > 0)

    @pytest.mark.parametrize(("labels", "words"), [(ARRAY, "0 and 1"), (OTHER, "one row per image")])
    def test_probabilities_and_class_numbers_are_refused(self, tmp_path, labels, words):
        np.save(tmp_path / "l.npy", labels)
        with pytest.raises(DataError, match=words):
            load_labels(str(tmp_path / "l.npy"))
