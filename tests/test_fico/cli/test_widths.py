"""What the commands print, on terminals of 80, 100 and 160 columns and in a pipe."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from fico.bench.cascade import outputs
from fico.cli.app import app
from fico.cli.search import Found, print_hits
from fico.inference.results import Hit, SearchResults
from fico.report.results.schema import write_results
from tests.corruption_kinds import EXAMPLES
from tests.test_fico.report.recommend.test_recommend import CASCADE, LONG, VSRN

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "runs"


class Terminal(io.StringIO):
    """Says that it is one, unless it has no columns."""

    columns = 0

    def isatty(self):
        return self.columns > 0


@pytest.fixture(params=[80, 100, 160, None], ids=["80", "100", "160", "pipe"])
def printed(request, monkeypatch):
    """Runs a command with a standard output of this width; gives its lines, none of which is torn."""
    monkeypatch.setenv("COLUMNS", str(request.param or 80))
    monkeypatch.setenv("TERM", "dumb")
    file = Terminal()
    file.columns = request.param or 0

    def command(*words):
        return run(lambda: app([str(word) for word in words], standalone_mode=False))

    def run(work):
        with redirect_stdout(file):
            work()
        lines = file.getvalue().splitlines()
        assert lines
        assert [line for line in lines if line != line.rstrip()] == []
        assert "\x1b" not in file.getvalue()
        longest = max((word for line in lines for word in line.split()), key=len)  # a path stays whole
        wide = [line for line in lines if len(line) > max(request.param or 10**6, len(longest) + 2)]
        assert wide == []
        return lines

    command.run, command.is_pipe = run, request.param is None
    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Embeddings of 12 images with uneven numbers of captions, and a run of them."""
    folder, random = tmp_path_factory.mktemp("widths"), np.random.default_rng(0)
    np.save(folder / "images.npy", random.normal(size=(12, 8)).astype(np.float32))
    np.save(folder / "texts.npy", random.normal(size=(30, 8)).astype(np.float32))
    (folder / "pairs.json").write_text(json.dumps([row % 12 for row in range(30)]))
    np.savez(folder / "labels.npz", labels=np.eye(4, dtype=np.uint8)[np.arange(12) % 4])
    (folder / "run").mkdir()
    EXAMPLES["encoder"](folder / "run")
    return folder


def test_evaluate(printed, folder):
    names = {"images": "images.npy", "texts": "texts.npy", "pairs": "pairs.json", "labels": "labels.npz"}
    files = [f"--{name}={folder / file}" for name, file in names.items()]
    lines = printed("evaluate", *files, "--bootstrap", 20)
    assert sum("mAP@N" in line for line in lines) in (1, 2)
    assert sum(line.startswith("R@10 ") for line in lines) in (1, 2)


def test_verify(printed, folder):
    lines = printed("verify", folder / "run")
    assert str(folder / "run") in " ".join(lines)
    if printed.is_pipe:
        assert len(lines) == 2


def test_compare(printed):
    assert any(line.startswith("instance/") for line in printed("compare", GOLDEN / "ucch", GOLDEN / "vsrn"))


def test_recommend(printed, tmp_path):
    for number, results in enumerate((VSRN, LONG, CASCADE)):
        (tmp_path / str(number)).mkdir()
        write_results(tmp_path / str(number), results)
    lines = " ".join(printed("recommend", "--runs", tmp_path, "--memory", "1KiB", "--latency", "1us"))
    assert "Nothing fits into 1.0 KiB and 1 µs a query." in " ".join(lines.split())


def test_data_show(printed, root, tmp_path):
    lines = " ".join(" ".join(printed("data", "show", root, "--samples", 2, "--out", tmp_path / "page.html")).split())
    assert lines.endswith(f"wrote {tmp_path / 'page.html'}")


def test_search(printed, tmp_path):
    hits = [
        Hit(1, "a", 0.5, tmp_path / ("deep/" * 40) / "a.jpg", None),
        Hit(2, "b", 0.25, None, "a caption of many words " * 12),
    ]
    found = Found("vsrn", "12 images of its test split", SearchResults((tuple(hits),), ((),), {"search": 0.1}, 12))
    lines = printed.run(lambda: print_hits(found))
    assert sum(line.split()[0] in "12" for line in lines if line.split()) == 2


def test_cascade(printed, folder, tmp_path, monkeypatch):
    for name in ("write_figures", "write_report"):  # most of the time, and nothing of it is printed
        monkeypatch.setattr(outputs, name, lambda *_, **__: {})
    words = ["cascade", folder / "run", folder / "run", "--k", "2,50%", "--screen", "flat", "--out", tmp_path / "out"]
    assert printed(*words)[-1] == str(tmp_path / "out")
