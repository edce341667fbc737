import random

import numpy as np
import torch

from fico.util.cached_folder import ensure_folder


def test_a_run_draws_the_same_numbers_whether_or_not_the_folder_is_there(tmp_path):
    def write(folder):
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        (folder / "a").write_text("a")

    def drawn():
        torch.manual_seed(0), np.random.seed(0), random.seed(0)  # noqa: NPY002
        ensure_folder(tmp_path / "made", write)
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()  # noqa: NPY002

    assert drawn() == drawn()
