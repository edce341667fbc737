"""Objects and files that know whether they are what was written."""

import json

import pytest

from fico.errors import DataError
from fico.util.digests.digest import check_file, content_digest, digests_of, is_sealed, sealed

CONTENT = {"b": [1, 2.5, 1e-300, None, True], "a": {10: "umlaut ä", 9: {"x": []}}}


def test_an_object_read_back_has_the_digest_it_was_written_with_in_any_layout(tmp_path):
    for indent in (None, 1):
        read = json.loads(json.dumps(sealed(CONTENT), indent=indent))
        assert is_sealed(dict(reversed(read.items())), tmp_path, "")
    assert sealed(sealed(CONTENT)) == sealed(CONTENT)


@pytest.mark.parametrize("changed", [{"b": [1, 2.5, 1e-300, None, 1.5]}, {"c": 1}, {"digest": "0" * 64}])
def test_a_changed_object_is_refused_by_name(tmp_path, changed):
    with pytest.raises(DataError, match=r"some\.json was changed.*do this"):
        is_sealed(sealed(CONTENT) | changed, tmp_path / "some.json", "do this")


def test_one_without_digest_says_so(tmp_path):
    assert not is_sealed(CONTENT, tmp_path, "")


def test_digests_do_not_confuse_values_with_their_neighbours():
    different = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": [1]}, {"a": True}, {"a": None}, {"b": 1}, {"a": {"b": 1}}]
    assert len({content_digest(content) for content in different}) == len(different)


def test_a_changed_file_is_refused_and_a_missing_or_unknown_one_left_to_its_reader(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    digests = digests_of(tmp_path, ("a", "b"))
    assert list(digests) == ["a"]
    check_file(tmp_path / "a", digests["a"], "")
    check_file(tmp_path / "b", digests["a"], "")
    (tmp_path / "a").write_bytes(b"abd")
    check_file(tmp_path / "a", None, "")
    with pytest.raises(DataError, match="changed since it was written"):
        check_file(tmp_path / "a", digests["a"], "")
