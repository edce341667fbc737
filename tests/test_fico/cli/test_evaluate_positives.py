"""``fico evaluate --positives``: any number of right images per caption, from files to a run that can be verified."""

import json
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

from fico import Correspondence, evaluate
from fico.cli.app import app
from fico.cli.verify.run import verify_run
from fico.report.results.schema import read_results

IMAGES, CAPTIONS = 8, 20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for name, rows in (("images", IMAGES), ("texts", CAPTIONS)):
        np.save(folder / f"{name}.npy", generator.normal(size=(rows, 6)).astype(np.float32))
    np.save(folder / "owners.npy", np.arange(CAPTIONS) % IMAGES)
    np.save(folder / "labels.npy", generator.random((IMAGES, 3)) < 0.5)
    image_rows, caption_rows = np.nonzero(generator.random((IMAGES, CAPTIONS)) < 0.3)
    np.savez(folder / "pairs.npz", image_rows=image_rows, caption_rows=caption_rows, image_queries=[0, 2, 3])
    lines = [f"image{image} 0 caption{caption} 1\n" for image, caption in zip(image_rows, caption_rows, strict=True)]
    (folder / "pairs.qrels").write_text("".join(lines))
    return folder


def fico(*arguments):
    with mock.patch("fico.report.html.page.write_report"):
        return CliRunner().invoke(app, ["evaluate", "--bootstrap", "10", *map(str, arguments)])


def sides(files):
    return "--images", files / "images.npy", "--texts", files / "texts.npy"


def test_a_run_on_pairs_gives_what_the_library_gives_and_can_be_verified(tmp_path, files):
    own = ("--pairs", files / "owners.npy", "--labels", files / "labels.npy")
    done = fico(*sides(files), *own, "--positives", files / "pairs.npz", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    stored = np.load(files / "pairs.npz")
    pairs = Correspondence.from_pairs(
        **stored, images=IMAGES, captions=CAPTIONS, caption_to_image=np.load(files / "owners.npy")
    )
    arrays = [np.load(files / f"{name}.npy") for name in ("images", "texts", "labels")]
    wanted = evaluate(*arrays[:2], pairs, labels=arrays[2], bootstrap=10)
    metrics = read_results(tmp_path / "run").metrics
    assert {name: metric.value for name, metric in metrics.items()} == {
        f"test/{name}": value for name, value in wanted.metrics.items()
    }
    assert metrics["test/instance/i2t/R@1"].queries == 3
    assert verify_run(tmp_path / "run") == (len(metrics), [])


def test_qrels_alone_say_what_belongs_together_and_those_that_are_written_can_be_read(tmp_path, files):
    for name, positives in (("first", files / "pairs.qrels"), ("second", tmp_path / "first-trec/i2t.instance.qrels")):
        out = ("--out", tmp_path / name, "--trec", tmp_path / f"{name}-trec")
        done = fico(*sides(files), "--positives", positives, *out)
        assert done.exit_code == 0, done.output
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("first", "second"))
    assert first["metrics"] == second["metrics"]
    lines = (tmp_path / "first-trec/i2t.instance.qrels").read_text().splitlines()
    assert sorted(lines) == sorted((files / "pairs.qrels").read_text().splitlines())


@pytest.mark.parametrize(
    ("words", "arguments", "code"),
    [
        ("need one of each", ("--positives", "pairs.qrels", "--labels", "labels.npy"), 1),
        ("labels and folds need one", ("--positives", "pairs.qrels", "--labels", "labels.npy", "--folds", 2), 1),
        (
            "either --pairs or --captions-per-image",
            ("--positives", "pairs.npz", "--pairs", "owners.npy", "--captions-per-image", 5),
            2,
        ),
        ("--positives counts every image once", ("--positives", "pairs.npz", "--layout", "square"), 2),
        ("does not exist", ("--positives", "absent.csv"), 2),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(files, words, arguments, code):
    given = [files / part if str(part).endswith((".npz", ".npy", ".qrels", ".csv")) else part for part in arguments]
    done = fico(*sides(files), *given)
    assert done.exit_code == code, done.output
    assert words in " ".join(done.stderr.split())
