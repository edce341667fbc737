"""The cases that ship with the project: small, one for every model, and the numbers of the larger set."""

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

SHIPPED = Path(__file__).parent / "cases"
FOLDER = Path(os.environ["FICO_PARITY_DIR"])
LARGEST = 4_000_000  # bytes of all cases
ARRAYS = sorted(SHIPPED.rglob("*.npz")) + sorted(SHIPPED.rglob("*.safetensors"))


def test_every_parity_test_has_a_shipped_case():
    tested = {
        path.stem.removeprefix("test_").removesuffix("_parity") for path in SHIPPED.parent.glob("test_*_parity.py")
    }
    assert {path.name for path in SHIPPED.iterdir() if path.is_dir()} == tested


def test_the_shipped_cases_are_small():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) <= LARGEST


@pytest.mark.parametrize("path", ARRAYS, ids=[path.relative_to(SHIPPED).as_posix() for path in ARRAYS])
def test_a_shipped_file_holds_the_numbers_of_the_larger_set(path):
    other = FOLDER / path.relative_to(SHIPPED)
    if not other.exists():
        return  # another set; its cases run in addition to these
    ours, theirs = (load_file(file) if file.suffix == ".safetensors" else np.load(file) for file in (path, other))
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(ours[name], theirs[name])
