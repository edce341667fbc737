"""Paths on the command line as a shell hands them over."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fico.experiment.config.quoting import quoted

PARSER = OverridesParser.create()


def value_of(argument):
    return PARSER.parse_override(argument).value()


@pytest.mark.parametrize(
    "path",
    ["/a b/c", "/a=b", "/größe/ä", "/it's", '/say "x"', "/a(1)", "/日本", "C:/x", "/a&b;c", "/back\\slash'", "/x!y?z*"],
)
def test_a_path_reaches_the_config_as_it_was_typed(path):
    (argument,) = quoted([f"dataset.root={path}"])
    assert str(value_of(argument)) == path


def test_a_comma_belongs_to_a_path_that_exists_and_separates_a_sweep(tmp_path):
    folder = tmp_path / "a,b"
    folder.mkdir()
    (argument,) = quoted([f"dataset.root={folder}"])
    assert value_of(argument) == str(folder)
    assert quoted(["-m", f"dataset.root={folder}"])[1] == f"dataset.root={folder}"
    assert quoted(["model=a,b"]) == ["model=a,b"]


@pytest.mark.parametrize(
    "argument",
    [
        "model=ucch",
        "stage=[fit,test]",
        "stage=[fit",
        "+a={b: c}",
        "-m",
        "~callbacks.lines",
        "a=${b}",
        "a='x y'",
        "a=1e-3",
    ],
)
def test_what_hydra_reads_stays(argument):
    assert quoted([argument]) == [argument]
