"""A run under the hashing protocol, from the command line to its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fico.cli.verify.run import verify_run
from fico.embeddings.store import EmbeddingStore

ROOT = Path(__file__).resolve().parents[4]


def slow_map(store, queries, items, query_images, item_images):
    """mAP over the whole database, ties by row, queries without a relevant item left out."""
    found = []
    for code, image in zip(queries, query_images, strict=True):
        order = np.argsort((code != items).sum(axis=1), kind="stable")
        hits = (store.labels[image] & store.labels[item_images[order]]).any(axis=1)
        if hits.any():
            found.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
    return np.mean(found)


@pytest.mark.slow
def test_queries_of_a_run_search_the_database_alone(tmp_path, own_cache):
    run = tmp_path / "run"
    settings = ("model.epochs=1", "model.bits=16", "index=[popcount]", "metric.bootstrap=0", "logger=none")
    overrides = ("dataset.protocol=hashing", "dataset.protocol_queries=20", "dataset.images=60", f"hydra.run.dir={run}")
    done = subprocess.run(
        [sys.executable, "run.py", "model=ucch", *settings, *overrides],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((run / "results.json").read_text())
    assert results["data"]["name"] == "shapes(hashing)"
    assert not [name for name in results["metrics"] if "/instance/" in name]
    assert "20 query images and 100 query captions search a database of 80 images and 400 captions" in results["notes"]
    assert {(row["direction"], row["queries"], row["items"]) for row in results["search"]} == {
        ("i2t", 20, 400), ("t2i", 100, 80),
    }  # fmt: skip
    store = EmbeddingStore.load(run / "embeddings")
    images, texts = (np.unpackbits(side, axis=1) for side in (store.images, store.texts))
    own, rows = store.correspondence.caption_to_image, store.correspondence.searched(len(images))
    (i, texts_of_database), (t, images_of_database) = rows["i2t"], rows["t2i"]
    wanted = {
        "i2t": slow_map(store, images[i], texts[texts_of_database], i, own[texts_of_database]),
        "t2i": slow_map(store, texts[t], images[images_of_database], own[t], images_of_database),
    }
    for way, value in wanted.items():
        assert results["metrics"][f"test/category/{way}/mAP@all"]["value"] == pytest.approx(value)
    assert verify_run(run)[1] == []
    assert (run / "report.html").exists()
