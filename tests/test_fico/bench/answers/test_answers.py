"""Random cases: additions, ids, removals, filters and reloads on every index against brute force."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fico.bench.answers import cases
from fico.bench.answers.answers import main
from fico.bench.answers.cases import Case, compared
from fico.bench.answers.indexes import INDEXES
from fico.types import Ranking


@pytest.mark.parametrize("index", INDEXES)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_an_index_at_its_exhaustive_setting_answers_as_brute_force_does(index, seed):
    assert Case(seed, index).differences() == []


def test_every_kind_of_wrong_answer_is_seen():
    scores, names = np.array([[3.0, 2.0, 2.0, 0.0]]), ["a", "b", "c", "d"]

    def seen(ids, values, orders_ties=True):
        return list(compared(Ranking(np.array([values]), np.array([ids])), scores, names, 3, "inner", orders_ties))

    assert seen(["a", "b", "c"], [3, 2, 2]) == []
    assert seen(["a", "c", "b"], [3, 2, 2], orders_ties=False) == []
    assert "by lowest row" in seen(["a", "c", "b"], [3, 2, 2])[0]
    assert "there twice" in seen(["a", "a", "b"], [3, 3, 2])[0]
    assert "not held" in seen(["a", "b", "x"], [3, 2, 2])[0]
    assert "the best are" in seen(["a", "b", "d"], [3, 2, 0])[0]
    assert "the best are" in seen(["a", "b", "c"], [3, 2, 1])[0]
    assert "shape" in seen(["a", "b"], [3, 2])[0]


def test_the_command_counts_what_differs(monkeypatch, capsys):
    main(["--cases", "4"])
    assert "0 of 4 cases differ" in capsys.readouterr().out
    monkeypatch.setattr(cases, "plain_scores", lambda queries, items, metric: np.zeros((len(queries), len(items))) + 7)
    with pytest.raises(SystemExit, match="1"):
        main(["--cases", "2"])
    assert "2 of 2 cases differ" in capsys.readouterr().out
