"""Hubness and its correction in everything that a run leaves, with a bank of the training split alone."""

import json

import pytest

import fico
from fico.cli.verify.run import verify_run

SMALL = (
    "model=cca", "dataset.images=30", "model.epochs=1", "metric.bootstrap=20", "index=[]",
    "metric.hubness_correction=nnn", "metric.nnn_k=5",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, warm_python):
    """Folder of a run, and what it printed."""
    folder = tmp_path_factory.mktemp("run")
    done = warm_python("run.py", *SMALL, f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def test_results_have_hubness_and_corrected_rows_beside_the_others(made):
    results, store = (
        json.loads((made[0] / "results.json").read_text()),
        fico.EmbeddingStore.load(made[0] / "embeddings"),
    )
    found = fico.evaluate(store.images, store.texts, store.correspondence, bootstrap=0)
    for direction in ("i2t", "t2i"):
        assert results["hubness"][direction] == pytest.approx(found.hubness[direction].values())
        key = f"instance/{direction}/R@1"
        assert results["metrics"][f"test/{key}"]["value"] == pytest.approx(found.metrics[key])
        assert f"test/nnn/{direction}/R@1" in results["metrics"]


def test_tables_page_and_loggers_have_it(made):
    folder, printed = made
    page, header = (folder / "report.html").read_text(), (folder / "metrics.csv").read_text().splitlines()[0]
    logged = next((folder / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    for text in (printed, page):
        assert "skew of N_10" in text
        assert "Robin Hood index" in text
        assert "hubness corrected" in text
    assert "nnn RSUM" in printed
    assert "paired" in printed
    assert 'class="found hubs"' in page
    for key in ("test/hubness/i2t/skew_at_10", "test/nnn/t2i/R@1"):
        assert key in header.split(",")
        assert key.encode() in logged


def test_the_stored_embeddings_give_all_that_needs_no_bank_again(made):
    count, differences = verify_run(made[0])
    assert count > 20
    assert not differences
