"""`fico ensemble`: the mean of runs' scores."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.external.model_outputs import ModelOutputs
from fico.external.results import results_of, write_outputs
from fico.types import Correspondence
from fico.util.digests.digest import sealed

PAIRS = Correspondence([0, 0, 1, 2, 3, 4, 5])


@pytest.fixture(autouse=True)
def _no_page(monkeypatch):
    monkeypatch.setattr("fico.report.html.page.write_report", lambda *_: None)  # drawing it is most of the time


def _sides(seed):
    random = np.random.default_rng(seed)
    return random.standard_normal((6, 4), dtype=np.float32), random.standard_normal((7, 4), dtype=np.float32)


def _run(folder, seed, similarity="cosine", captions=7):
    images, texts = _sides(seed)
    pairs = Correspondence(PAIRS.caption_to_image[:captions])
    outputs = ModelOutputs(pairs, images=images, texts=texts[:captions], similarity=similarity)
    result = evaluate(images, texts[:captions], pairs, similarity=similarity, bootstrap=20)
    results = results_of(outputs, result, name="m", split="test", seconds=0.0, options={"bootstrap": 20}, files={})
    write_outputs(folder, outputs, result, results)
    return folder


def _fico(*arguments):
    return CliRunner().invoke(app, ["ensemble", *map(str, arguments)])


def test_the_scores_are_the_mean_of_both(tmp_path):
    done = _fico(_run(tmp_path / "a", 0), _run(tmp_path / "b", 1), "--out", tmp_path / "both")
    assert done.exit_code == 0, done.output
    means = []
    for seed in (0, 1):
        images, texts = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in _sides(seed))
        means.append(images @ texts.T)
    scores = (means[0] + means[1]) / 2
    wanted = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=PAIRS, bootstrap=20)
    found = json.loads((tmp_path / "both" / "results.json").read_text())["metrics"]
    for name in ("instance/i2t/MeanR", "instance/t2i/MeanR", "instance/t2i/R@1"):
        assert found[f"test/{name}"]["value"] == pytest.approx(wanted.metrics[name], abs=1e-6)


def test_two_equal_runs_change_nothing(tmp_path):
    run = _run(tmp_path / "a", 0)
    _fico(run, run, "--out", tmp_path / "both")
    one, both = (json.loads((folder / "results.json").read_text())["metrics"] for folder in (run, tmp_path / "both"))
    for name in both:
        assert both[name]["value"] == pytest.approx(one[name]["value"]), name


@pytest.mark.parametrize(
    ("other", "words"),
    [({"captions": 6}, "other images or captions"), ({"similarity": "euclidean"}, "cannot be averaged")],
)
def test_runs_that_do_not_go_together_are_refused(tmp_path, other, words):
    done = _fico(_run(tmp_path / "a", 0), _run(tmp_path / "b", 1, **other))
    assert done.exit_code == 1
    assert words in done.output


@pytest.mark.parametrize("command", [_fico, lambda *runs: CliRunner().invoke(app, ["verify", str(runs[0])])])
def test_a_bench_has_nothing_to_average_or_verify(tmp_path, command):
    runs = [_run(tmp_path / name, seed) for seed, name in enumerate("ab")]
    for run in runs:
        plain = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps(sealed(plain | {"metrics": {}})))
    done = command(*runs)
    assert (done.exit_code, "no metrics" in done.output) == (1, True)


def test_one_run_is_no_ensemble(tmp_path):
    done = _fico(_run(tmp_path / "a", 0))
    assert (done.exit_code, "two runs" in done.output) == (2, True)
