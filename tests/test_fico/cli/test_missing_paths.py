"""A path that is not there is wrong usage for every command: one sentence that names it, and exit code 2."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fico.cli.app import app

RUN = Path(__file__).resolve().parents[2] / "golden" / "runs" / "ucch"


@pytest.mark.parametrize(
    "line",
    [
        "evaluate --images NO --texts NO --captions-per-image 5",
        "evaluate --results-data NO",
        "verify NO",
        "compare RUN NO",
        "compare RUN RUN --mteb NO",
        "report NO",
        "recommend --runs NO",
        "ensemble RUN NO",
        "cascade NO RUN",
        "growth NO --distractors RUN",
        "growth RUN --distractors NO",
        "search NO words",
        "search RUN words --images NO",
        "serve NO",
        "export mteb NO --out OUT",
        "convert NO.pth --model scan",
        "data show NO",
        "data show karpathy --root NO",
        "data overlap NO NO",
        "split NO",
        "features doc2vec --dataset karpathy --root NO",
        "label zeroshot --dataset karpathy --root NO --model a/b --classes NO",
        "reproduce --weights NO --data NO",
    ],
)
def test_a_path_that_is_not_there_is_wrong_usage(tmp_path, line):
    places = {"RUN": RUN, "NO": tmp_path / "no", "NO.pth": tmp_path / "no.pth", "OUT": tmp_path / "out"}
    done = CliRunner().invoke(app, [str(places.get(word, word)) for word in line.split()])
    assert done.exit_code == 2, (done.stderr, done.exception)
    assert str(tmp_path / "no") in done.stderr.replace("\n", "")
