"""Items and queries of a search bench: synthetic ones of two modalities, and those of files."""

import h5py
import numpy as np
import pytest

from fico.bench.pareto.two_maps import TwoMaps, modality_gap
from fico.bench.pareto.vectors import VectorsSource
from fico.errors import DataError, UsageError

SOURCE = {
    "data": "two_maps", "items": 300, "queries": 40, "dim": 64, "seed": 3,
    "gap": 0.1, "noise": 0.25, "query_data": None, "query_modality": "other",
}  # fmt: skip


def rows(count, seed=0, dim=64):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def made(**changed):
    source = VectorsSource(**(SOURCE | changed))
    source.check()
    return source.make()


def test_the_gap_grows_with_the_offset_and_cosines_fall_with_the_noise():
    gaps = [
        modality_gap(TwoMaps(256, gap).rows(800, 0), TwoMaps(256, gap).rows(400, 2, other=True)) for gap in (0, 0.4, 2)
    ]
    assert gaps[0][0] < 0.1
    assert gaps[0][0] + 0.2 < gaps[1][0] < gaps[2][0] < 1.2
    quiet, loud = (
        modality_gap(TwoMaps(256, 0.1, noise).rows(800, 0), TwoMaps(256, 0.1, noise).rows(400, 2, other=True))
        for noise in (0.1, 0.5)
    )
    assert quiet[1] > loud[1]
    assert quiet[2] > loud[2]


def test_queries_of_the_other_modality_lie_further_from_the_items():
    vectors = made()
    same, other = (modality_gap(vectors.items, vectors.queries[kind]) for kind in ("same", "other"))
    assert other[1] < same[1] - 0.05
    assert np.allclose(np.linalg.norm(vectors.items, axis=1), 1, atol=1e-5)
    again = made()
    assert np.array_equal(vectors.queries["other"], again.queries["other"])
    assert not np.array_equal(vectors.items[:40], vectors.queries["same"])
    assert "other modality" in vectors.notes[0]


def test_the_vectors_of_table_7_have_no_other_modality():
    vectors = made(data="sine")
    assert list(vectors.queries) == ["same"]
    assert "items alone" in vectors.notes[0]


def test_a_file_of_ann_benchmarks_gives_both_kinds_of_query(tmp_path):
    items, queries = rows(340), rows(50, 1)
    with h5py.File(tmp_path / "images.hdf5", "w") as file:
        file["train"], file["test"], file.attrs["distance"] = items, queries, "angular"
    vectors = made(data=str(tmp_path / "images.hdf5"))
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    assert np.allclose(vectors.queries["other"], queries[:40] / np.linalg.norm(queries[:40], axis=1, keepdims=True))
    together = np.concatenate([vectors.items, vectors.queries["same"]])
    assert np.allclose(np.sort(together, axis=0), np.sort(unit, axis=0))  # held out: none is in both
    same = made(data=str(tmp_path / "images.hdf5"), query_modality="same")
    assert list(same.queries) == ["same"]
    assert np.allclose(same.items, unit[:300])


@pytest.mark.parametrize("suffix", ["npy", "fbin"])
def test_items_and_queries_in_two_files_are_read_as_they_are(tmp_path, suffix):
    parts = {"items": rows(340), "queries": rows(40, 1)}
    for name, part in parts.items():
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "npy":
            np.save(path, part)
        else:
            path.write_bytes(np.array(part.shape, "<u4").tobytes() + part.tobytes())
    files = {"data": str(tmp_path / f"items.{suffix}"), "query_data": str(tmp_path / f"queries.{suffix}")}
    vectors = made(**files, query_modality="same")
    assert np.array_equal(vectors.items, parts["items"][:300])
    assert np.array_equal(vectors.queries["same"], parts["queries"])
    for changed, words in (
        ({"items": 301}, "has 340 items of 64 numbers and there are 40 queries, but bench.items=301 and 40 held out"),
        ({"queries": 41}, "bench.queries=41"),
        ({"dim": 63}, "bench.dim=63"),
    ):
        with pytest.raises(UsageError, match=words):
            made(**files, **changed)
    with pytest.raises(UsageError, match="bench.query_data=FILE"):
        made(data=files["data"])


def test_files_that_cannot_be_searched_are_refused(tmp_path):
    def refused(name, words, error=DataError, write=None):
        if write is not None:
            write(tmp_path / name)
        with pytest.raises(error, match=words):
            made(data=str(tmp_path / name), query_data=str(tmp_path / name))

    def hdf5(path, distance, key="train"):
        with h5py.File(path, "w") as file:
            file[key], file["test"], file.attrs["distance"] = rows(340), rows(40), distance

    refused("none.npy", "does not exist")
    refused("words.txt", "none of the suffixes", UsageError, lambda path: path.write_text("words"))
    refused("cut.fbin", "cut off", write=lambda path: path.write_bytes(np.array([9, 9], "<u4").tobytes()))
    refused("cut.hdf5", "fetch it again", write=lambda path: path.write_bytes(b"\x89HDF cut"))
    refused("flat.npy", "give a matrix", write=lambda path: np.save(path, np.zeros(9)))
    refused("far.hdf5", "distance 'euclidean'", UsageError, lambda path: hdf5(path, "euclidean"))
    refused("other.hdf5", "not ann-benchmarks' 'train'", write=lambda path: hdf5(path, "ip", "learn"))
