"""Shards on a local Ray cluster of two workers: what one index gives, and what happens when one fails."""

import importlib.util
import re
import time
from pathlib import Path

import numpy as np
import pytest

from fico.errors import DataError, FicoError, UsageError
from fico.search.exact import ExactSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.rows_file import rows_file
from fico.search.sharded import ray_shards
from fico.search.sharded.ray_shards import RayShardedSearch
from fico.search.sharded.shards import ShardedSearch

PAGE = Path(__file__).resolve().parents[4] / "docs" / "search.md"
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed: the extra ray")


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
    yield ray
    ray.shutdown()


@needs_ray
def test_the_documented_search_runs_on_two_nodes_of_one_machine(tmp_path, monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    (block,) = re.findall(r"```python\n((?:(?!```).)*RayShardedSearch.*?)```", PAGE.read_text(), re.DOTALL)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80 * 2**20})
    try:
        nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        monkeypatch.chdir(tmp_path)
        made = {}
        exec(block.replace('"auto"', repr(nodes.address)), made)
        with RayShardedSearch(ExactSearch, 2, address=nodes.address) as sharded:
            sharded.add(made["queries"])
            assert len({node["NodeID"] for node in ray.nodes() if node["Alive"]}) == 2
            assert "CPU" not in ray.available_resources()  # each node has a shard on its only core
    finally:
        ray.shutdown()
        nodes.shutdown()


@needs_ray
def test_two_workers_give_what_one_index_gives(cluster, tmp_path):
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 256, (9, 8), dtype=np.uint8)[generator.integers(0, 9, 500)]  # most of them tie
    queries = generator.integers(0, 256, (7, 8), dtype=np.uint8)
    np.save(tmp_path / "codes.npy", codes[200:])
    whole = PopcountSearch(64)
    whole.add(codes)
    with RayShardedSearch(lambda: PopcountSearch(64, threads=1), 2) as sharded:
        sharded.add(codes[:200])
        sharded.add(rows_file(tmp_path / "codes.npy"))  # only its name travels
        for k in (1, 40, 500):
            found, wanted = sharded.search(queries, k), whole.search(queries, k)
            assert np.array_equal(found.scores, wanted.scores)
            assert np.array_equal(found.indices, wanted.indices)
        assert sharded.name == "2 x popcount(64)"
        assert sharded.size_bytes > codes.nbytes
        with pytest.raises(UsageError, match="24 columns"):
            sharded.search(np.ones((1, 24), np.float32), 1)
        cluster.kill(sharded._workers[1])
        with pytest.raises(FicoError, match="shard died"):
            sharded.search(queries, 1)
    assert cluster.is_initialized()


@needs_ray
def test_saved_shards_load_on_workers_and_in_one_process(cluster, tmp_path):
    rows = np.random.default_rng(1).normal(size=(90, 6)).astype(np.float32)
    with RayShardedSearch(ExactSearch, 2) as sharded:
        with pytest.raises(UsageError, match="is empty"):
            sharded.save(tmp_path / "empty")
        sharded.add(rows)
        wanted = sharded.search(rows[:5], 7)
        sharded.save(tmp_path / "saved")
    searchers = [ShardedSearch.load(tmp_path / "saved"), RayShardedSearch.load(tmp_path / "saved")]
    for searcher in searchers:
        found = searcher.search(rows[:5], 7)
        # Another process has another number of threads and other addresses, which decide the last bit of a product.
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=4 * np.finfo(np.float32).eps)
        assert np.array_equal(found.indices, wanted.indices)
    searchers[1].add(rows)  # goes on
    assert searchers[1].search(rows[:5], 2).indices.tolist() == [[row, row + 90] for row in range(5)]
    searchers[1].close()
    (tmp_path / "saved" / "shard1.index").write_bytes(b"cut off")
    with pytest.raises(DataError, match=r"shard1\.index"):
        RayShardedSearch.load(tmp_path / "saved")
    for _ in range(100):  # until the workers of the failed load are gone
        if cluster.available_resources().get("CPU") == 2:
            break
        time.sleep(0.1)
    else:
        pytest.fail("workers were left behind")


@needs_ray
def test_too_few_cores_are_told_before_the_start(cluster):
    with pytest.raises(FicoError, match="3 shards.*has 2"):
        RayShardedSearch(ExactSearch, 3)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r"\[ray\]"):
        ray_shards._import_ray()
