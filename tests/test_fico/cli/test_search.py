"""``fico search`` on a small run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fico.cli.app import app

ROOT = Path(__file__).resolve().parents[3]


def search(*words):
    return CliRunner().invoke(app, ["search", *map(str, words)])


@pytest.fixture
def run(runs):
    return runs["vsrn"]


def test_a_sentence_finds_images(run):
    done = search(run, "a red circle", "--k", 3)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert all(Path(line.split()[2]).is_file() for line in lines[1:4])
    assert re.search(r"vsrn, 20 images of its test split; encode .*, search ", lines[-1])


def test_unknown_words_are_named_and_a_query_without_known_ones_is_refused(run):
    assert "fico: not among the words of the training captions: zebra" in search(run, "a red zebra").stderr
    done = search(run, "zebra giraffe")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "no word of 'zebra giraffe'" in done.stderr


def test_json_is_a_list_and_nothing_else(run):
    hits = json.loads(search(run, "a red circle", "--k", 2, "--json").stdout)
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert set(hits[0]) == {"rank", "id", "score", "path"}


def test_an_image_finds_captions(run):
    path = json.loads(search(run, "a red circle", "--json").stdout)[0]["path"]
    hits = json.loads(search(run, "--image", path, "--json").stdout)
    assert len(hits) == 5
    assert all(hit["caption"] for hit in hits)


def test_a_folder_is_searched_and_shown_on_a_page(run, tmp_path):
    for number, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (50, 40), colour).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"")
    page = tmp_path / "page.html"
    done = search(run, 'a <b>red</b> "circle"', "--images", tmp_path, "--html", page)
    assert done.exit_code == 0
    assert "left out" in done.stderr
    assert "bad.png" in done.stderr
    text = page.read_text()
    assert text.count("<img") == text.count("data:image/jpeg;base64,") == 3
    assert "a &lt;b&gt;red&lt;/b&gt;" in text
    assert not re.search(r"(src|href)=\"(?!data:)|https?://", text)
    again = search(run, "a red circle", "--html", page)
    assert (again.exit_code, "--overwrite" in again.stderr) == (2, True)
    assert search(run, "a red circle", "--html", page, "--overwrite").exit_code == 0


@pytest.mark.parametrize("words", [(), ("a circle", "--image", "x.png")])
def test_one_query_is_needed(run, words):
    done = search(run, *words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path):
    done = search(tmp_path, "a red circle")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # its import would fail
from typer.testing import CliRunner
from fico.cli.app import app
for command in ("search", "serve"):
    for words in (["nowhere"], [".", "--images", "nowhere"]):
        done = CliRunner().invoke(app, [command, *words])
        assert (done.exit_code, done.stderr.count("\\n")) == (2, 1), done.output
        assert "there is no folder nowhere" in done.stderr
"""


def test_a_folder_that_is_not_there_is_refused_before_torch_is_imported():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
