"""Two processes test every family of models as one does: the same embeddings, scores and metrics, to the last bit."""

from pathlib import Path

import yaml

CONF = Path(__file__).parents[2] / "conf" / "model"
# A cascade takes no trainer; the others are the same networks on inputs that a finished run or another extra makes.
LEFT_OUT = {"cascade", "hash_head", "clip_heads"}


def test_two_processes_equal_one_for_every_model(warm_python, tmp_path):
    models = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem not in LEFT_OUT)
    assert {yaml.safe_load((CONF / f"{name}.yaml").read_text()).get("family") for name in models} >= {
        "vlp",
        "fine",
        "coarse",
    }
    done = warm_python("tests/two_processes.py", tmp_path, *models)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.split(":")[0] in models]
    assert lines == [f"{model}: the same" for model in models]
