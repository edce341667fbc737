"""The docs: the site builds without a warning, every code block is checked, and those that can be are run."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))

from blocks import LANGUAGES, NEEDS, PAGES, BlockParser, blocks, copy_checkout, examples, run_in_shell  # noqa: E402
from commands_check import check  # noqa: E402
from pictures import draw_architecture  # noqa: E402

BLOCKS = [block for page in PAGES for block in blocks(page)]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def page_name(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_file_that_a_page_names_exists(page):
    written = {block.file for block in blocks(page)}  # by the tutorials
    named = set(re.findall(r"`((?:fico|conf|docs|examples|tests)/[\w/.]+\.\w+)`", page.read_text()))
    assert not [path for path in named - written if not (ROOT / path).exists()]


@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning(tmp_path, warm_python):
    command = ("-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees")
    done = warm_python(*command, ROOT / "docs", tmp_path / "site")
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_block_says_what_it_is():
    assert {block.language for block in BLOCKS if not block.language.startswith("{")} <= set(LANGUAGES)
    assert {block.need for block in BLOCKS} <= {None, *NEEDS}


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.need and block.commands()], ids=lambda block: block.location
)
def test_every_command_that_is_not_run_exists(block, warm_python):
    for command in block.commands():
        check(command, warm_python)


def has_something_to_run(page):
    return any(block.need is None and (block.language in ("python", "sh") or block.file) for block in blocks(page))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """One copy for all pages, so that the kernels are compiled in it once."""
    return copy_checkout(tmp_path_factory.mktemp("docs") / "checkout")


@pytest.fixture
def run(checkout, warm_python):
    """Runs a command line in the copy."""
    starts = {"python": (), "fico": ("-m", "fico")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(checkout)
    environment["PYTEST_ADDOPTS"] = "-n 0"  # a tutorial's test is one file, for which one process is enough

    def run(command):
        program, *words = shlex.split(command, comments=True)
        if program not in starts:
            return run_in_shell(command, checkout)
        return warm_python(*starts[program], *words, env=environment, cwd=checkout)

    return run


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if has_something_to_run(page)], ids=page_name)
def test_blocks_run(page, checkout, run, monkeypatch):
    monkeypatch.chdir(checkout)
    for example in examples(page, BlockParser(checkout=checkout, run=run)):
        example.evaluate()


@pytest.mark.parametrize("example", EXAMPLES, ids=page_name)
def test_examples_run(example, tmp_path, warm_python):
    done = warm_python(example, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()


def test_every_public_name_stands_in_the_reference():
    import fico

    reference = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    assert [name for name in fico.__all__ if f"fico.{name}\n" not in reference] == []


def test_the_diagram_shows_the_layers_that_hold(tmp_path):
    draw_architecture(tmp_path / "drawn.svg")
    held = (ROOT / "docs" / "pictures" / "architecture.svg").read_text()
    assert (tmp_path / "drawn.svg").read_text() == held, "run `python docs/pictures.py` and commit its diagram"


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    links = {link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")}
    assert [link for link in sorted(links) if link and not (ROOT / link).exists()] == []
