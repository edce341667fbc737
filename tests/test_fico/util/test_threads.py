import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fico.util.threads import matmul


@pytest.mark.parametrize("rows", [1, 2, 3, 101])
def test_shared_rows_give_the_product(rows):
    random = np.random.default_rng(rows)
    left, right = random.standard_normal((rows, 7)), random.standard_normal((7, 5))
    out = np.full((rows, 5), np.nan)
    matmul(left, right, out)
    np.testing.assert_allclose(out, left @ right, rtol=1e-12)


def test_blas_has_its_threads_back():
    before = [library["num_threads"] for library in threadpool_info()]
    matmul(np.ones((4, 2)), np.ones((2, 3)), np.empty((4, 3)))
    assert [library["num_threads"] for library in threadpool_info()] == before
