"""Each bench that is a command of its own starts and explains itself."""

import runpy
import sys

import pytest


@pytest.mark.parametrize("name", ["answers", "attention", "metrics", "popcount"])
def test_every_bench_command_prints_its_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"fico.bench.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert f"usage: python -m fico.bench.{name} " in capsys.readouterr().out
