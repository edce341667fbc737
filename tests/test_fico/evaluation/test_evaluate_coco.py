"""Chance and relevance density of the real COCO test labels."""

import gzip
import json

import numpy as np
import pytest

from fico.evaluation.evaluate import evaluate
from fico.types import Correspondence


@pytest.mark.data
def test_chance_and_relevance_density_of_the_coco_test_set(data_dir):
    """Reference: the data set's README: density of relevant (image, image) pairs over all and by contiguous fold."""
    folder = data_dir / "coco_karpathy_test5k"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    labels = np.load(folder / "labels.npz")["labels"].astype(bool)
    images = json.loads(gzip.decompress((folder / "dataset_coco_test5k.json.gz").read_bytes()))["images"]
    rows = np.repeat(np.arange(len(images)), [len(image["sentences"]) for image in images])
    assert len(rows) == 25_010
    known = labels.astype(np.float32)
    density = (known @ known.T > 0).mean()
    assert density == pytest.approx(0.32878, abs=5e-6)
    folds = [(known[n : n + 1000] @ known[n : n + 1000].T > 0).mean() for n in range(0, 5000, 1000)]
    np.testing.assert_allclose(folds, [0.29500, 0.35626, 0.34292, 0.34046, 0.31473], atol=5e-6)

    generator = np.random.default_rng(0)
    codes = [generator.integers(0, 2, (n, 64), dtype=np.uint8) for n in (len(labels), len(rows))]
    result = evaluate(*codes, Correspondence(rows), labels=labels, similarity="hamming", bootstrap=10)
    for direction, items in (("i2t", 25_010), ("t2i", 5000)):
        chance = result.metrics[f"category/{direction}/chance/mAP@N"]
        assert chance == pytest.approx(density, abs=0.003)
        assert result.metrics[f"category/{direction}/mAP@N"] == pytest.approx(chance, abs=0.002)
        assert result.metrics[f"instance/{direction}/chance/R@10"] == pytest.approx(
            1 - np.prod([(items - 10 - n) / (items - n) for n in range(5 if direction == "i2t" else 1)]), abs=1e-5
        )
    assert any("i2t: 48 of 5000 queries have no relevant item" in note for note in result.notes)
    five = evaluate(*codes, Correspondence(rows), labels=labels, similarity="hamming", bootstrap=10, folds=5)
    # Of N items in random order AP is on average a little above the density: by about (1 - density) ln(N) / N.
    assert five.metrics["category/t2i/chance/mAP@N"] == pytest.approx(np.mean(folds) + 0.67 * 7.49 / 1000, abs=0.001)
    assert five.metrics["instance/t2i/chance/MeanR"] == 500.5
