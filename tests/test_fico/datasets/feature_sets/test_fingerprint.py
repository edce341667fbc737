"""Every value of a mapped array enters the fingerprint, however large the array is."""

import numpy as np

from fico.datasets.feature_sets.fingerprint import MAPPED_ROWS, fingerprint


def test_one_value_of_a_large_mapped_array_changes_it(tmp_path):
    rows = np.zeros((4 * MAPPED_ROWS, 3), np.float32)
    found = []
    for changed in (None, 5, 4 * MAPPED_ROWS - 2):
        if changed is not None:
            rows[changed, 1] = 1
        np.save(tmp_path / "rows.npy", rows)
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        found.append(fingerprint((["a"],), [mapped], None))
        assert found[-1] == fingerprint((["a"],), [mapped], None)
    assert len(set(found)) == 3
