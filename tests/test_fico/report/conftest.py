"""A small finished run, and a split with embeddings, that the tests of the report share and leave as they are."""

import numpy as np
import pytest
from PIL import Image

from fico.datasets.base import RetrievalSplit
from fico.report.results.metric import Metric
from fico.report.results.schema import DataInfo, ModelInfo, Results, SearchRow
from fico.types import Correspondence


def metric(value, **changed):
    spread = 0.05 if value <= 1 else 3
    low, high = max(0.0, value - spread), value + spread if value > 1 else min(1.0, value + spread)
    return Metric(value, low, high, 500, "What it is.", **changed)


RANK = {"unit": "rank", "higher_is_better": False}


def some_metrics(**changed):
    found = {}
    for way in ("i2t", "t2i"):
        for name, value, chance in (("R@1", 0.1234, 0.004), ("R@10", 0.5, 0.04), ("MedR", 12.5, 250.0)):
            unit = RANK if name == "MedR" else {}
            found[f"test/instance/{way}/{name}"] = metric(value, **unit, **changed)
            found[f"test/instance/{way}/chance/{name}"] = metric(chance, **unit)
        for name, value in (("mAP@10", 0.8), ("mAP@N", 0.6), ("PR@0.0", 0.9), ("PR@1.0", 0.4)):
            found[f"test/category/{way}/{name}"] = metric(value, **changed)
            found[f"test/category/{way}/chance/{name}"] = metric(0.33)
    return found


@pytest.fixture(scope="module")
def results():
    return Results(
        name="vsrn-shapes-s0",
        seed=0,
        started="2026-01-02T03:04:05+00:00",
        seconds=61.25,
        commit="unknown",
        model=ModelInfo("vsrn", "fine", "tiny", 256, None, "float32"),
        data=DataInfo("shapes", "test", 500, 2500, 20, "ab" * 32),
        metrics=some_metrics(),
        efficiency={"encode_seconds": 1.5, "embedding_bytes": 3_072_000, "attention_seconds": None},
        search=(
            SearchRow("flat", 500, 2500, 0.01, 0.002, 640_000, {1: 1.0, 10: 1.0}, {10: 1.0}),
            SearchRow(
                "hnsw",
                500,
                2500,
                0.2,
                0.001,
                900_000,
                {1: 0.97, 10: 0.99},
                {10: 0.95},
                {"threads": 2, "direction": "t2i"},
            ),
        ),
        versions={"python": "3.11.2", "fico": "0.1.0"},
        hardware={"cpu": "a CPU", "cores": 2, "memory_bytes": 2**34},
        config={"seed": 0, "model": {"name": "vsrn"}},
        notes=("3 of 500 queries have no relevant item and count 0.",),
    )


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Nine images of three colours, two captions each in shuffled order, labels by colour; image 8 has no file."""
    colours, folder = ["red", "lime", "blue"], tmp_path_factory.mktemp("colours")
    paths = []
    for row in range(9):
        paths.append(folder / f"{row}.png")
        if row != 8:
            Image.new("RGBA", (400, 300), colours[row % 3]).save(paths[-1])
    owners = np.random.default_rng(0).permutation(np.repeat(np.arange(9), 2))
    captions = tuple(
        f"a {colours[owner % 3]} picture, number {owner} <script>alert('{owner}')</script>" for owner in owners
    )
    return RetrievalSplit(
        dataset="colours",
        name="test",
        image_ids=tuple(f"image{row}" for row in range(9)),
        image_paths=tuple(paths),
        caption_ids=tuple(f"caption{row}" for row in range(18)),
        captions=captions,
        tokens=tuple(tuple(caption.split()) for caption in captions),
        correspondence=Correspondence(owners),
        labels=np.eye(3, dtype=bool)[np.arange(9) % 3],
        classes=tuple(colours),
        fingerprint="00",
    )


@pytest.fixture(scope="module")
def embeddings(split):
    """Each caption lies nearest its own image, then images of its colour; captions 0 and 1 are turned away."""
    colour, own = 4 * np.eye(3)[np.arange(9) % 3], np.eye(9)
    images = np.concatenate([colour, own], axis=1).astype(np.float32)
    texts = images[split.correspondence.caption_to_image].copy()
    texts[:2] *= -1
    return images, texts
