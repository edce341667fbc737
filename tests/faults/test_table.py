"""The table of faults names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [line for line in (Path(__file__).with_name("README.md")).read_text().splitlines() if re.match(r"\| \d", line)]


def test_every_fault_has_tests_that_exist():
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 23))
    for row in ROWS:
        named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row)
        assert named, row
        for file, test in named:
            functions = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if hasattr(node, "name")}
            assert test in functions, f"{file} has no {test}"
