"""Two processes test every model as one does: the same embeddings, scores and metrics, to the last bit."""

from tests.configs import trained

LEFT_OUT = {"hash_head", "clip_heads"}  # networks of others here, on inputs that a finished run or another extra makes


def test_two_processes_equal_one_for_every_model(warm_python, tmp_path):
    models = [model for model in trained() if model not in LEFT_OUT]
    done = warm_python("tests/two_processes.py", tmp_path, *models)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.split(":")[0] in models]
    assert lines == [f"{model}: the same" for model in models]
