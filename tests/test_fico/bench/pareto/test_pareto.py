"""Which settings are worth having, and what an index costs at the recall of another one."""

import math

import numpy as np
import pytest

from fico.bench.pareto import library_rivals
from fico.bench.pareto.frontier import cost_at_recall, dominated
from fico.bench.pareto.library_rivals import LIBRARY_RIVALS
from fico.bench.pareto.pareto import Pareto
from fico.bench.pareto.rival import BuildContext, SharedBinarisers, tune
from fico.bench.pareto.rivals import RIVALS, absent
from fico.bench.pareto.trial import Trial
from fico.bench.pareto.two_maps import TwoMaps
from fico.errors import DataError, UsageError
from fico.search.exact import ExactSearch
from fico.util import resources


def beaten(point, others):
    """By the definition, one pair at a time."""
    return any(
        all(a >= b for a, b in zip(other, point, strict=True)) and any(a > b for a, b in zip(other, point, strict=True))
        for other in others
    )


@pytest.mark.parametrize("seed", range(5))
def test_dominated_points_are_those_that_a_search_over_all_pairs_finds(seed):
    points = np.random.default_rng(seed).integers(0, 5, (40, 4))  # many ties, and equal points
    wanted = [beaten(point.tolist(), points.tolist()) for point in points]
    assert dominated(points[:, :2], -points[:, 2:]).tolist() == wanted
    assert any(wanted)


def test_equal_points_do_not_dominate_one_another():
    assert not dominated(np.ones((3, 1)), np.ones((3, 2))).any()


def test_between_two_settings_the_cost_runs_straight_in_its_logarithm():
    assert cost_at_recall([0.8, 0.9], [1.0, 100.0], 0.85) == pytest.approx(10.0)
    assert cost_at_recall([0.8, 0.9], [1.0, 100.0], 0.9) == pytest.approx(100.0)


def test_the_cost_at_a_recall_ignores_settings_that_are_beaten_and_never_extrapolates():
    recalls, costs = [0.9, 0.8, 0.85, 0.95], [10.0, 50.0, 5.0, 20.0]
    assert cost_at_recall(recalls, costs, 0.5) == 5.0
    assert cost_at_recall(recalls, costs, 0.875) == pytest.approx(math.sqrt(50))
    assert cost_at_recall(recalls, costs, 0.96) is None
    assert cost_at_recall([], [], 0.5) is None


def test_a_cost_never_falls_as_the_recall_asked_for_rises():
    generator = np.random.default_rng(1)
    recalls, costs = generator.random(20).tolist(), generator.random(20).tolist()
    found = [cost_at_recall(recalls, costs, recall) for recall in np.linspace(0, max(recalls), 50)]
    assert found == sorted(found)


SMALL = {"queries": 20, "items": 600, "dim": 256, "rounds": 1}


def test_an_index_of_codes_is_charged_for_the_fitting_that_another_one_shares():
    codes = SharedBinarisers(np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32))
    first, again = codes(16), codes(16)
    assert first is again
    assert len(codes.fit_times) == 2
    assert codes.fit_times[0] == codes.fit_times[1]
    assert codes.fit_times[0].seconds > 0


def test_every_rival_finds_what_is_near_and_more_effort_finds_no_less(untrained_itq):
    found = Pareto(**SMALL).run(lambda step: None)
    for modality in ("same", "other"):
        rows = {
            name: [r for r in found.rows if (r["index"], r["query_modality"]) == (name, modality)] for name in RIVALS
        }
        _check_rows(rows)
    whole, *speed_ups = found.tables
    assert len(whole.rows) == len(found.rows)
    assert {row.texts[0] for row in whole.rows} == {"same modality", "other modality"}
    assert [table.key for table in speed_ups[2:]] == [f"{table.key}-other-modality" for table in speed_ups[:2]]
    assert list(found.figures) == ["pareto", "pareto-other-modality"]
    assert "mean lies" in found.notes[0]
    for table in speed_ups:
        ratios = {row.texts[0]: row.texts[1:] for row in table.rows}
        assert ratios["hnsw"] == ("1.00x",) * (len(table.columns) - 1)
        assert all("%" in column.name for column in table.columns[1:]), "no speed-up without its recall"


def _check_rows(rows):
    for name, rival in RIVALS.items():
        assert len(rows[name]) == (0 if absent(name) else len(rival.search_params)), name
        for row in rows[name]:
            assert row["index_bytes"] > 0
            assert row["cpu_us"] > 0
    assert rows["flat"][0]["overlap_at_k"] == {1: 1.0, 10: 1.0}
    assert max(row["overlap_at_k"][10] for row in rows["hybrid"]) > 0.99
    for name in ("hnsw", "rabitq_fastscan", "hybrid", "hybrid_fp16"):
        assert rows[name][-1]["overlap_at_k"][10] >= rows[name][0]["overlap_at_k"][10], name


def test_a_setting_changes_what_a_built_index_finds(untrained_itq):
    items = np.random.default_rng(0).normal(size=(600, 256)).astype(np.float32)
    context = BuildContext(*items.shape, 1, SharedBinarisers(items))
    for name in ("ivf_sq8", "multi_hash", "scan_rerank"):
        searcher = RIVALS[name].make(context)
        searcher.add(items)
        found = []
        for setting in (RIVALS[name].search_params[0], RIVALS[name].search_params[-1]):
            tune(searcher, setting)
            found.append(searcher.search(items[:50] + 1, 10).indices)
        assert not np.array_equal(*found), name


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rivals": ["hnsw", "annoy"]}, "'annoy' is unknown"),
        ({"rivals": []}, r"it is \[\]"),
        ({"rivals": ["flat"]}, "not among bench.rivals"),
        ({"baseline": "x"}, "'x' is unknown"),
        ({"items": 9}, "must not exceed the items"),
        ({"rounds": 0}, "bench.rounds is 0"),
        ({"rounds": 20}, "give 21 or more"),
        ({"dim": 100}, "256 of both"),
        ({"items": 10**9}, "GiB are free"),
        ({"gap": -1}, "bench.gap is -1"),
        ({"query_modality": "text"}, "choose same or other"),
        ({"data": "none.npy"}, "none.npy does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused(changed, message):
    with pytest.raises((DataError, UsageError), match=message):
        Pareto(**(SMALL | changed)).check()


def test_memory_is_asked_for_all_indexes_together(monkeypatch):
    need = max(size for _, size in Pareto(**SMALL).predicted().values())
    for free, fits in ((need + 1, True), (need - 1, False)):
        monkeypatch.setattr(resources, "free_memory", lambda free=free: free)
        if fits:
            Pareto(**SMALL).check()
        else:
            with pytest.raises(UsageError, match="fewer bench.items"):
                Pareto(**SMALL).check()


def test_every_setting_searches_every_query_once_and_other_ones_than_the_setting_before(monkeypatch):
    asked = []

    def spied(trial, parts, part, k, real=Trial.measure):
        asked.append((id(trial), part))
        real(trial, parts, part, k)

    monkeypatch.setattr(Trial, "measure", spied)
    Pareto(**(SMALL | {"rivals": ["flat", "hnsw"], "rounds": 3, "data": "sine"})).run(lambda step: None)
    trials = {trial for trial, _ in asked}
    assert len(trials) == 1 + len(RIVALS["hnsw"].search_params)
    for trial in trials:
        assert sorted(part for own, part in asked if own == trial) == [0, 1, 2, 3]
    for (_, before), (_, after) in zip(asked, asked[1 : len(trials)], strict=False):
        assert before != after


def test_a_rival_whose_library_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(library_rivals.importlib.util, "find_spec", lambda name: None)
    found = Pareto(**(SMALL | {"rivals": ["hnsw", "symphony_qg"], "data": "sine"})).run(lambda step: None)
    assert "symphony_qg is absent: rabitqlib is not installed (extra rivals)." in found.notes
    assert {row["index"] for row in found.rows} == {"hnsw"}


def test_a_rival_that_knows_the_euclidean_distance_alone_needs_rows_of_one_length(tmp_path):
    np.save(tmp_path / "items.npy", np.random.default_rng(0).normal(size=(640, 256)).astype(np.float32))
    files = {"data": str(tmp_path / "items.npy"), "query_data": str(tmp_path / "items.npy")}
    few = SMALL | {"rivals": ["hnsw", "hnsw_rabitq"]}
    found = Pareto(**few, **files).run(lambda step: None)
    assert "hnsw_rabitq is absent: it knows Euclidean distance alone, and the items are not of length 1." in found.notes
    assert {row["index"] for row in Pareto(**few).run(lambda step: None).rows} == {"hnsw", "hnsw_rabitq"}


@pytest.mark.parametrize("name", LIBRARY_RIVALS)
def test_a_rival_of_another_library_finds_what_is_near(name):
    if absent(name):
        pytest.skip(absent(name))
    maps, exact = TwoMaps(64), ExactSearch("inner")
    rival, items, queries = LIBRARY_RIVALS[name][1](1), maps.rows(2000, 0), maps.rows(20, 1)
    for params in RIVALS[name].search_params[-1:]:
        tune(rival, params)
    for one in (rival, exact):
        one.add(items)
    found, wanted = rival.search(queries, 10), exact.search(queries, 10)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(found.indices, wanted.indices, strict=True)]) > 8
    assert (np.diff(found.scores, axis=1) <= 1e-6).all()
    assert rival.size_bytes > 1000
