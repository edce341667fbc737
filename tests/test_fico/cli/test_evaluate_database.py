"""``fico evaluate --database-images``: from files to a run that can be verified."""

from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

from fico import Correspondence, evaluate
from fico.cli.app import app
from fico.cli.verify.run import verify_run
from fico.embeddings.store import EmbeddingStore
from fico.report.results.schema import read_results

QUERIES, ITEMS = 5, 20


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for name, count in (("q", QUERIES), ("d", ITEMS)):
        np.save(folder / f"{name}-images.npy", generator.normal(size=(count, 6)).astype(np.float32))
        np.save(folder / f"{name}-texts.npy", generator.normal(size=(2 * count, 6)).astype(np.float32))
        np.save(folder / f"{name}-labels.npy", generator.random((count, 3)) < 0.5)
    np.save(folder / "owners.npy", np.arange(2 * ITEMS) // 2)
    return folder


def fico(*arguments):
    with mock.patch("fico.report.html.page.write_report"):
        return CliRunner().invoke(app, ["evaluate", "--bootstrap", "10", *map(str, arguments)])


def part(files, letter, option="--"):
    return [f"{option}{name}={files / f'{letter}-{name}.npy'}" for name in ("images", "texts", "labels")]


def test_a_run_against_a_database_gives_what_the_library_gives_and_can_be_verified(tmp_path, files):
    both = [*part(files, "q"), *part(files, "d", "--database-"), "--captions-per-image", 2]
    done = fico(*both, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "instance metrics do not apply" in " ".join(done.output.split())
    queries, database = (
        [np.load(files / f"{letter}-{name}.npy") for name in ("images", "texts", "labels")] for letter in "qd"
    )
    owners = [Correspondence(np.arange(2 * count) // 2) for count in (QUERIES, ITEMS)]
    wanted = evaluate(
        *queries[:2], owners[0], labels=queries[2], database_images=database[0], database_texts=database[1],
        database_correspondence=owners[1], database_labels=database[2], bootstrap=10,
    )  # fmt: skip
    found = read_results(tmp_path / "run").metrics
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(
        {f"test/{name}": value for name, value in wanted.metrics.items()}
    )
    store = EmbeddingStore.load(tmp_path / "run" / "embeddings")
    assert store.correspondence.database.tolist() == list(range(QUERIES, QUERIES + ITEMS))
    assert verify_run(tmp_path / "run") == (len(found), [])


def test_pairs_of_the_database_have_an_option_of_their_own(files):
    options = [*part(files, "q"), *part(files, "d", "--database-"), "--captions-per-image", 2]
    given = fico(*options, "--database-pairs", files / "owners.npy")
    assert given.exit_code == 0, given.output
    assert given.output == fico(*options).output


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        (["--database-images=x.npy"], "needs both --database-images and --database-texts"),
        (["--database-images=x.npy", "--database-texts=y.npy", "--positives=p.npz"], "the category task alone"),
        (["--database-images=x.npy", "--database-texts=y.npy", "--layout=square"], "--layout rectangular"),
        (["--database-images=x.npy", "--database-texts=y.npy", "--trec=t"], "leave it out, or the database"),
    ],
)
def test_wrong_options_are_one_sentence(files, monkeypatch, changed, wanted):
    monkeypatch.setattr("fico.cli.commands.evaluate.split_source", lambda source: source)
    done = fico(*part(files, "q"), "--captions-per-image", 2, *changed)
    assert done.exit_code == 2
    assert wanted in " ".join(done.output.split())


def test_a_database_belongs_to_embeddings(files):
    done = fico("--i2t", files / "q-images.npy", "--database-texts", files / "d-texts.npy", "--captions-per-image", 2)
    assert done.exit_code == 2
    assert "a database needs --images and --texts" in " ".join(done.output.split())
