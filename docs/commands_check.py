"""Checks that a command of the docs exists: a config that composes, options that are known, files that are there."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from blocks import ROOT
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from typer.main import get_command

from fico.cli.app import app
from run import check_config, check_pairing
from tests.configs import composed

Python = Callable[..., subprocess.CompletedProcess[str]]
FILES = ("model.checkpoint", "model.weights", "model.vocabulary", "model.source")
OTHERS = {"cd", "git", "sphinx-build", "wandb", "tensorboard", "ruff", "mypy", "lint-imports", "ls", "ray"}


def check(line: str, python: Python) -> None:
    """Checks each command of a line.

    Args:
        line: As a shell reads it.
        python: Runs Python with the arguments it is given.

    Raises:
        AssertionError: A command, an option or a file does not exist.
        Exception: What Hydra or the config's own check has to say.
    """
    for words in _split(shlex.split(line, comments=True)):
        _check_words([words[0].removeprefix(".venv/bin/"), *words[1:]], python)


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in words:
        if word in ("&&", "||", "|", ";"):
            yield command
            command = []
        elif command or not re.match(r"[A-Z_]+=", word):  # a variable in front of the command
            command.append(word)
    yield command


def _check_words(words: list[str], python: Python) -> None:
    match words:
        case ["python", "run.py", *rest]:
            _check_run(rest)
        case ["torchrun", *rest]:
            _check_run(rest[rest.index("run.py") + 1 :])
        case ["fico", *rest]:
            _check_fico(rest)
        case ["python", "-m", "pytest" | "venv", *rest] | ["python3", "-m", "venv", *rest]:
            _check_paths(rest)
        case ["pip", "install", *rest]:
            _check_install(rest)
        case ["python", "-m", module, *rest]:
            _check_options(("-m", module), rest, python)
        case ["python", script, *rest]:
            assert (ROOT / script).is_file(), f"{script} does not exist"
            _check_options((script,), rest, python)
        case [name, *_]:
            assert name in OTHERS, f"{name} is not a command that the docs know"


def _check_run(words: list[str]) -> None:
    """Compose the first job of a ``run.py`` line and check it as ``run.py`` does, but for files."""
    overrides = [word for word in words if not word.startswith("-") and word != "job"]
    config = composed(*map(_first, overrides))
    for override in overrides:
        key, _, _ = override.partition("=")
        if key in FILES:
            OmegaConf.update(config, key, str(ROOT))  # the key exists; the file is the reader's
    check_pairing(config)
    check_config(config)


def _first(text: str) -> str:
    override = OverridesParser.create().parse_override(text)
    if not override.is_sweep_override():
        return text
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def _check_fico(words: list[str]) -> None:
    command: Any = get_command(app)
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        assert words[0] in command.commands, f"fico has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = {word.split("=")[0] for word in words if word.startswith("-")} - known - {"--help", "-h", "--version"}
    assert not unknown, f"fico {command.name} has no option {', '.join(unknown)}"
    if not hasattr(command, "commands") and not {"--help", "-h"}.intersection(words):
        command.make_context(command.name, list(words))  # arguments that are missing, values out of range


def _check_paths(words: list[str]) -> None:
    for word in words:
        if word.startswith("tests/"):
            assert list(ROOT.glob(word.split("::")[0])), f"{word} does not exist"


def _check_install(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        if word.endswith(".txt"):
            assert (ROOT / word).is_file(), f"{word} does not exist"
        for extra in re.findall(r"\[([\w,]+)\]", word):
            unknown = set(extra.split(",")) - set(extras)
            assert not unknown, f"there is no extra {', '.join(unknown)}"


def _check_options(command: tuple[str, ...], words: list[str], python: Python) -> None:
    options = {word.split("=")[0] for word in words if word.startswith("--")}
    help_text = _help(command, python) if options else ""
    unknown = {option for option in options if not re.search(rf"{option}\b", help_text)}
    assert not unknown, f"python {' '.join(command)} has no option {', '.join(unknown)}"


@cache
def _help(command: tuple[str, ...], python: Python) -> str:
    return python(*command, "--help").stdout
