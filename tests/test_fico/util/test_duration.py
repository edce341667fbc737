"""Durations are numbers of seconds or of a unit of time, and nothing else."""

import pytest

from fico.errors import UsageError
from fico.util.duration import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(90, 90), ("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), (0.25, 0.25), ("10ms", 0.01), ("2us", 2e-6)],
)
def test_seconds(text, seconds):
    assert seconds_of(text, "budget") == seconds


@pytest.mark.parametrize("text", ["", "m", "3d", "-1s", "0", "1.2.3", "nan", "inf", None])
def test_others_are_refused(text):
    with pytest.raises(UsageError, match=r"budget is .*; give seconds"):
        seconds_of(text, "budget")
