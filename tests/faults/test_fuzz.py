"""Random damages of all kinds of files, calls of `fico.evaluate`, command lines; `tests/fuzz.py` is the long form."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).resolve().parents[1]))
import fuzz
import fuzz_batches
from fuzz_targets import READERS

SHORT = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SEEDS = st.integers(0, 2**32 - 1).map(random.Random)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_sentence(tmp_path_factory, name):
    if name == "pairs parquet":
        pytest.importorskip("pyarrow")
    files = fuzz.Files(READERS[name], tmp_path_factory.mktemp("files"))

    @SHORT
    @given(SEEDS)
    def check(chance):
        assert files(chance) is None

    check()


@pytest.mark.filterwarnings("ignore")
@settings(SHORT, max_examples=60)
@given(SEEDS)
def test_an_evaluation_is_right_or_refused_in_one_sentence(chance):
    assert fuzz.evaluation(chance) is None


@pytest.fixture(scope="module")
def command_line():
    from hydra.core.global_hydra import GlobalHydra

    yield fuzz.targets(Path(), ["overrides"])["overrides"]
    GlobalHydra.instance().clear()


@settings(SHORT, max_examples=15)
@given(SEEDS)
def test_a_command_line_is_accepted_or_refused_in_one_sentence(command_line, chance):
    assert command_line(chance) is None


# Seen in earlier runs of the long form.
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("metric.metrics=tiny", "must be metrics by name"),
        ("features=[1,2]", "do not fit together"),
        ("~logger=1.5", "do not fit together"),
        ("seed=99999999999999999999", "below 4294967296"),
    ],
)
def test_the_sentence_names_what_is_wrong(command_line, line, message):
    _, fault = fuzz.fault_of(lambda: fuzz.compose_and_check([line]))
    assert fault is None
    with pytest.raises(fuzz.FicoError, match=message):
        fuzz.compose_and_check([line])


@pytest.mark.parametrize(
    ("raised", "kind"), [(KeyError("a"), "traceback"), (fuzz.FicoError("two\nlines"), "no sentence")]
)
def test_the_fuzzer_sees_what_it_looks_for(raised, kind):
    def call():
        raise raised

    assert fuzz.fault_of(call)[1][0] == kind


def test_the_fuzzer_survives_an_input_that_ends_or_hangs_the_interpreter(monkeypatch):
    monkeypatch.setattr(fuzz_batches, "LONGEST_SECONDS", 1.0)

    def one(number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        if number == 5:
            time.sleep(60)
        return number, "kind", ("traceback", "x") if number == 1 else None

    found = list(fuzz_batches.outcomes(lambda: one, lambda number: "kind", inputs=8, batch=5))
    assert [number for number, _, _ in found] == list(range(8))
    assert {number: fault[1] for number, _, fault in found if fault} == {
        1: "x",
        3: "the process ended with SIGTERM",
        5: "the process ended with SIGKILL",
    }


def test_the_fuzzer_sees_a_wrong_number():
    import numpy as np

    images, texts, rows = np.eye(3), np.eye(3) + 0.1 * np.arange(9).reshape(3, 3), np.arange(3)
    result = type("Result", (), {"metrics": {"instance/t2i/R@1": 0.25}})
    assert fuzz._second_computation(result, images, texts, rows)[0] == "wrong accept"
