"""FAISS on a GPU: what is refused before training and, with a stand-in for the GPU part, the way there and back."""

from types import SimpleNamespace

import faiss
import numpy as np
import pytest

from fico.errors import UsageError
from fico.experiment.config.start import wrong_start
from fico.search import faiss_gpu
from fico.search.faiss_index import FaissSearch
from tests.configs import composed

ROWS = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
needs_cpu_build = pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this build has a GPU part")


class Moved:
    """An index on the stand-in's GPU: the one of the CPU, which cannot be written before it comes back."""

    def __init__(self, index, device):
        self.on_cpu, self.device = index, device

    def __getattr__(self, name):
        return getattr(self.on_cpu, name)


class Graph:
    """``GpuIndexCagra`` that finds the exact neighbours."""

    def __init__(self, resources, width, metric, config):
        self.index, self.degree = faiss.IndexFlat(width, metric), config.graph_degree

    def train(self, rows):
        self.index.add(rows)

    def search(self, queries, k, params):
        self.itopk_size = params.itopk_size
        return self.index.search(queries, k)


@pytest.fixture
def gpu(monkeypatch):
    """FAISS with a GPU part whose GPU is the CPU."""
    parts = {
        "StandardGpuResources": lambda: object(),
        "index_cpu_to_gpu": lambda resources, device, index: Moved(faiss.clone_index(index), device),
        "index_gpu_to_cpu": lambda moved: faiss.clone_index(moved.on_cpu),
        "GpuIndexCagra": Graph,
        "GpuIndexCagraConfig": SimpleNamespace,
        "SearchParametersCagra": SimpleNamespace,
        "GpuParameterSpace": faiss.ParameterSpace,
    }
    for name, part in parts.items():
        monkeypatch.setattr(faiss, name, part, raising=False)
    monkeypatch.setattr(faiss_gpu, "check_device", lambda device: None)


@needs_cpu_build
@pytest.mark.parametrize("index", ["flat", "binary_flat", "cagra"])
def test_a_build_without_a_gpu_part_is_told_before_the_data_are_read(index):
    config = composed(f"index=[{index}]", f"index.{index}.device=cuda", "logger=none")
    (problem,) = wrong_start(config)
    assert problem.startswith(f"index.{index}.device: device is 'cuda', but this build of FAISS")
    assert "\n" not in problem
    with pytest.raises(UsageError, match="install the extra gpu"):
        FaissSearch(config.index[index].factory, device="cuda")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"factory": "HNSW32", "device": "cuda"}, "no 'HNSW32' on a GPU; take device=cpu"),
        ({"factory": "BIVF{lists}", "device": "cuda"}, "no 'BIVF{lists}' on a GPU"),
        ({"factory": "Flat", "device": "cuda", "shards": 2}, "shards is 2"),
        ({"factory": "CAGRA64"}, "on a GPU alone; set device=cuda"),
    ],
)
def test_what_a_gpu_does_not_have_is_refused(gpu, options, named):
    with pytest.raises(UsageError, match=named):
        FaissSearch(**options)


@needs_cpu_build
@pytest.mark.parametrize(("factory", "metric"), [("Flat", "cosine"), ("IVF4,Flat", "euclidean"), ("CAGRA64", "inner")])
def test_the_search_is_that_of_the_cpu(gpu, factory, metric, tmp_path):
    index, exact = FaissSearch(factory, metric, device="cuda:1"), FaissSearch("Flat", metric)
    for each in (index, exact):
        each.add(ROWS)
    if "IVF" in factory:
        index.set_search_params({"nprobe": 4})
        assert index._index.device == 1
    found, wanted = index.search(ROWS[:20], 5), exact.search(ROWS[:20], 5)
    assert np.array_equal(found.indices, wanted.indices)
    assert index.size_bytes >= ROWS.nbytes
    if factory == "Flat":
        index.save(tmp_path / "some.index")
        assert FaissSearch.load(tmp_path / "some.index").device == "cpu"
        assert FaissSearch.load(tmp_path / "some.index").search(ROWS[:2], 1).indices.tolist() == [[0], [1]]


@needs_cpu_build
def test_what_faiss_does_not_do_on_a_gpu_is_one_sentence(gpu):
    index = FaissSearch("Flat", "inner", device="cuda")
    index.add(np.concatenate([ROWS] * 7))
    for options in ({"k": 2049}, {"k": 1, "allowed": [0, 1]}):
        with pytest.raises(UsageError, match="at most 2048 items of a query on a GPU"):
            index.search(ROWS[:1], **options)


@needs_cpu_build
def test_a_graph_is_built_once_and_searched_with_as_many_candidates_as_asked(gpu, tmp_path):
    graph = FaissSearch("CAGRA32", "inner", search_params={"itopk_size": 100}, device="cuda")
    graph.add(ROWS)
    graph.search(ROWS[:1], 5)
    assert (graph._index._index.degree, graph._index._index.itopk_size) == (32, 100)
    graph.search(ROWS[:1], 200)
    assert graph._index._index.itopk_size == 200
    with pytest.raises(UsageError, match="in one call"):
        graph.add(ROWS)
    with pytest.raises(UsageError, match="does not write a CAGRA graph"):
        graph.save(tmp_path / "file")
    with pytest.raises(UsageError, match="no search parameter 'nprobe'"):
        graph.set_search_params({"nprobe": 2})
