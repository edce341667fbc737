"""A model that needs what a data set cannot have is refused before anything is imported."""

from pathlib import Path

import pytest

from fico.experiment.config.pairing import check_data
from tests.configs import composed

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("root", ["16", "true", "[a,b]"])
@pytest.mark.parametrize("dataset", ["shapes", "coco", "pairs"])
def test_a_root_that_is_no_text_is_left_to_the_check_of_values(dataset, root):
    check_data(composed(f"dataset={dataset}", f"dataset.root={root}"))


def test_the_command_line_ends_with_one_sentence_and_exit_code_2(tmp_path, warm_python):
    done = warm_python("run.py", "model=scan", "dataset=wikipedia", "dataset.root=x", f"hydra.run.dir={tmp_path}")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "regions (image), words (text)" in done.stderr
