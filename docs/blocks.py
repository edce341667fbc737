"""Finds the code blocks of the README and of the docs, checks every command in them and runs those that can be run.

Four languages are in use. ``python`` is executed, all blocks of a page in one namespace. A ``python`` or ``yaml`` block
whose first line is a path in a comment, such as ``# models/bag.py``, is written (without that line) to the file in a
copy of the checkout, where the page's ``sh`` blocks run, one command a line. ``text`` is output.

A comment above a block, ``<!-- needs: data -->``, says what it needs beyond the test set; such a block is not run, but
its commands are checked all the same: a ``run.py`` line must compose, and every option must exist.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS = {
    "minutes": "minutes: `python docs/run_blocks.py --with minutes`",
    "hours": "hours: `python docs/run_blocks.py --with hours`",
    "hand": "somebody at the keyboard: it does not end by itself, or runs these very blocks",
    "data": "a folder, a file or a run of your own",
    "gpu": "an NVIDIA GPU",
    "network": "the network, beyond what is installed",
}
Run = Callable[[str], subprocess.CompletedProcess[str]]
LANGUAGES = ("python", "yaml", "sh", "text")
_NEED = re.compile(r"<!-- needs: (\w+) -->\n\s*\Z")
_FILE = re.compile(r"# ((?:models|conf|fico|tests)/[\w/]+\.(?:py|yaml))\b.*\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Args:
        page: Markdown file.
        line: Line of its fence, from 1.
        language: Info string of the fence.
        source: Its text.
        need: What it needs beyond the test set, or None.
        file: Where it is written, relative to the checkout, or None.
    """

    page: Path
    line: int
    language: str
    source: str
    need: str | None
    file: str | None

    @property
    def location(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """The lines of an ``sh`` block, continued ones joined."""
        if self.language != "sh":
            return []
        lines = self.source.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


class BlockParser:
    """Sybil's parser for the blocks described above.

    Args:
        needs: Kinds of blocks to run although they need more than the test set.
        checkout: Copy of the checkout in which files are written and commands run.
        run: Runs one command line in the checkout.
    """

    def __init__(self, needs: frozenset[str] = frozenset(), checkout: Path = ROOT, run: Run | None = None) -> None:
        self._lexer = FencedCodeBlockLexer(r"[\w{}-]+")
        self._needs = needs
        self._checkout = checkout
        self._run = run or partial(run_in_shell, checkout=checkout)

    def __call__(self, document: Document) -> Iterator[Region]:
        """Give the regions of a page, in its order."""
        for region in self._lexer(document):
            region.parsed = region.lexemes["source"]
            region.evaluator = self._evaluate
            yield region

    def _evaluate(self, example: Example) -> None:
        block = as_block(example)
        if block.need is not None and block.need not in self._needs:
            return
        if block.file is not None:
            target = self._checkout / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.source.partition("\n")[2])
        elif block.language == "python":
            PythonEvaluator()(example)
        for command in block.commands():
            done = self._run(command)
            if done.returncode:
                said = f"{block.location}: `{command}` ended with {done.returncode}"
                raise AssertionError(f"{said}\n{(done.stdout + done.stderr)[-3000:]}")


def as_block(example: Example) -> Block:
    """What an example of Sybil holds."""
    text = example.document.text[: example.region.start]
    need, file = _NEED.search(text), _FILE.match(example.region.lexemes["source"])
    return Block(
        page=Path(example.path),
        line=text.count("\n") + 1,
        language=example.region.lexemes["language"],
        source=str(example.region.lexemes["source"]),
        need=need[1] if need else None,
        file=file[1] if file else None,
    )


def examples(page: Path, parser: BlockParser | None = None) -> list[Example]:
    """Blocks of a page as Sybil's examples, which can be evaluated."""
    return list(Sybil(parsers=[parser or BlockParser()]).parse(page).examples())


def blocks(page: Path) -> list[Block]:
    """Blocks of a page, in its order."""
    return [as_block(example) for example in examples(page)]


def copy_checkout(target: Path) -> Path:
    """Copies what a run needs, so that a tutorial can add its files; ``bin`` holds ``python`` and ``fico`` for it."""
    ignored = shutil.ignore_patterns("__pycache__", "parity", "golden", "faults")
    for folder in ("fico", "models", "callbacks", "conf", "examples", "tests"):
        shutil.copytree(ROOT / folder, target / folder, ignore=ignored)
    for file in ("run.py", "pyproject.toml"):
        shutil.copy2(ROOT / file, target / file)
    commands = {"python": '"$@"', "fico": '-c "from fico.cli.app import app; app()" "$@"'}
    for name, rest in commands.items():
        script = target / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {rest}\n')
        script.chmod(0o755)
    return target


def run_in_shell(command: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    """Runs one line in a copy of the checkout."""
    path = f"{checkout / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(checkout)}
    return subprocess.run(["sh", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True)
