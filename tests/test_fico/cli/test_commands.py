"""The command as a whole: how it is started, and what every command has."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fico.cli.app import app

ROOT = Path(__file__).resolve().parents[3]


def commands(group=None, before=()):
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield *before, name


@pytest.mark.parametrize("start", ["fico", "fico.cli", "fico.cli.app"])
def test_the_module_is_the_same_command(start):
    done = subprocess.run([sys.executable, "-m", start, "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"fico {version('fico')}\n")


def test_without_a_command_the_help_is_printed():
    assert "Usage: fico" in CliRunner().invoke(app, []).output.replace("root", "fico")


@pytest.mark.parametrize("command", sorted(commands()), ids=" ".join)
def test_every_command_explains_itself_and_each_of_its_options(command):
    short, long = (CliRunner().invoke(app, [*command, option], terminal_width=200) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output
    node = get_command(app)
    for name in command:
        node = node.commands[name]
    assert node.help
    assert all(getattr(option, "help", "-") for option in node.params)


def test_each_command_has_a_file_of_its_own():
    files = {path.stem for path in (ROOT / "fico" / "cli" / "commands").glob("*.py")} - {"__init__", "options"}
    assert files == {command[0] for command in commands()}


def test_a_wrong_command_is_wrong_usage():
    done = CliRunner().invoke(app, ["evalute"])
    assert done.exit_code == 2
    assert re.search("evalute", done.output)
